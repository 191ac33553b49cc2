// The source papers. A new one is a file and a line here.
import { frankenLlama } from "./franken-llama.ts";
import type { Paper } from "./paper.ts";
import { skipAttention } from "./skip-attention.ts";
import { thesis } from "./thesis.ts";
import { whatMatters } from "./what-matters.ts";

export const PAPERS: ReadonlyMap<string, Paper> = new Map(
  [thesis, whatMatters, skipAttention, frankenLlama].map((paper) => [paper.id, paper]),
);
