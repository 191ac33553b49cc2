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
  source: "GPTQ (arXiv 2210.17323), Table 3",
  model: "OPT-125M, 4 bits, a grid per row",
  unpruned: 27.65,
  method: 31.12,
  baseline: 37.28,
};

/** EoRA was calibrated there on WikiText-2's own training part. */
export const EORA_3: PaperFigures = {
  source: "EoRA (arXiv 2410.21271), Table 2",
  model: "LLaMA3-8B, GPTQ at 3 bits, a grid per row, rank 128",
  unpruned: 6.13,
  method: 10.06,
  baseline: 15.64,
};

/** Its table has no magnitude pruning: the other is Wanda-sp. */
export const FLAP_20: PaperFigures = {
  source: "FLAP (arXiv 2312.11983), the table of WikiText-2, also figures/language_modeling.png of its code",
  model: "LLaMA-7B, 20 %, beside Wanda-sp",
  unpruned: 12.62,
  method: 14.62,
  baseline: 22.12,
};

export const WANDA_2_4: PaperFigures = {
  source: "Wanda (arXiv 2306.11695), Table 3, also the README of its code",
  model: "LLaMA-2-7B, 2:4",
  unpruned: 5.12,
  method: 11.02,
  baseline: 54.59,
};
