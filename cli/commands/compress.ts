// `franken compress METHOD`: each makes a variant. A new method is a file in compress/ and a line here.
import type { Command } from "commander";
import { addCommands, type FrankenCommand } from "../command.ts";

const METHODS: readonly FrankenCommand[] = [
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
];

export const define = (command: Command): Promise<void> => addCommands(command, METHODS, process.argv[3]);
