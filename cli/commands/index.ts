// The commands of `franken`. A new one is a file and a line here.
import type { FrankenCommand } from "../command.ts";

export const COMMANDS: readonly FrankenCommand[] = [
  {
    name: "import",
    summary: "take in a checkpoint, or a recipe of mergekit, LLM-Drop or PEFT",
    load: () => import("./import.ts"),
  },
  {
    name: "importance",
    summary: "measure how dispensable each layer, attention and MLP is",
    load: () => import("./importance.ts"),
  },
  {
    name: "compress",
    summary: "make a variant: its recipe, and the tensors that it changes",
    load: () => import("./compress.ts"),
  },
  {
    name: "sweep",
    summary: "score a grid of variants and keep the best",
    load: () => import("./sweep.ts"),
  },
  {
    name: "experiment",
    summary: "report on an A/B experiment of a running gateway",
    load: () => import("./experiment.ts"),
  },
  {
    name: "export",
    summary: "write a variant for other programs: recipe, hf, gguf, mergekit, peft",
    load: () => import("./export.ts"),
  },
];
