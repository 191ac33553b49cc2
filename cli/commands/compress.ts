// `franken compress METHOD`: each makes a variant. A new method is a file in compress/ and a line here.
import type { Command } from "commander";
import { addCommands, type FrankenCommand } from "../command.ts";

export const METHODS: readonly FrankenCommand[] = [
  {
    name: "depth",
    summary: "remove the most dispensable layers, attentions or MLPs",
    load: () => import("./compress/depth.ts"),
  },
  {
    name: "skip",
    summary: "skip the attention or MLP of later layers",
    load: () => import("./compress/skip.ts"),
  },
  {
    name: "franken",
    summary: "run layers in an order of your own, as 0-5,10-13,14-18x2",
    load: () => import("./compress/franken.ts"),
  },
  {
    name: "rtn",
    summary: "round weights to fewer bits, each to its nearest value",
    load: () => import("./compress/rtn.ts"),
  },
  {
    name: "gptq",
    summary: "quantize weights so that each layer's outputs change least",
    load: () => import("./compress/gptq.ts"),
  },
  {
    name: "wanda",
    summary: "set weights to 0, N of every M or a share of each row",
    load: () => import("./compress/wanda.ts"),
  },
  {
    name: "ffn",
    summary: "remove FFN channels",
    load: () => import("./compress/ffn.ts"),
  },
  {
    name: "flap",
    summary: "remove KV groups and FFN channels, compensated by biases",
    load: () => import("./compress/flap.ts"),
  },
  {
    name: "eora",
    summary: "compensate a masked or quantized variant by a low-rank adapter",
    load: () => import("./compress/eora.ts"),
  },
];

export const define = (command: Command): Promise<void> => addCommands(command, METHODS, process.argv[3]);
