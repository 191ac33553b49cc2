// The WebAssembly engine in Node, in a process of its own.
import { startMeasuringChild } from "../child.ts";
import type { Subject } from "../subject.ts";

export const node: Subject = {
  id: "wasm-node",
  title: "Franken Gateway, wasm engine in Node",
  ours: true,
  start: ({ core }) => startMeasuringChild({ args: ["bench/subjects/node-child.ts"], core }),
};
