// What the papers report for the same comparisons, on their models: perplexities of WikiText-2.

export interface PaperFigures {
  readonly source: string;
  readonly model: string;
  readonly unpruned: number;
  /** Of the method, and of what it is compared with. */
  readonly method: number;
  readonly baseline: number;
}

export const GPTQ_4: PaperFigures = {
  source: "GPTQ (arXiv 2210.17323), Table 3; figures not yet checked against it",
  model: "OPT-125M, 4 bits, a grid per row",
  unpruned: 27.65,
  method: 31.12,
  baseline: 37.28,
};

/** Its table has no magnitude pruning: the other is Wanda-sp. */
export const FLAP_20: PaperFigures = {
  source: "FLAP (arXiv 2312.11983), the table of WikiText-2",
  model: "LLaMA-7B, 20 %, beside Wanda-sp",
  unpruned: 12.62,
  method: 14.62,
  baseline: 22.12,
};

export const WANDA_2_4: PaperFigures = {
  source: "Wanda (arXiv 2306.11695), Table 3; figures not yet checked against it",
  model: "LLaMA-7B, 2:4",
  unpruned: 5.68,
  method: 11.53,
  baseline: 42.13,
};
