import { BASE, type Figures, type Paper, percent } from "./paper.ts";
import { hellaswag, tokenTime } from "./shared.ts";

/** Share correct, and seconds an item, as its table has them. */
const RESULTS: Readonly<Record<string, readonly [correct: number, seconds: number]>> = {
  "0-23_27-31": [0.38, 81.2],
  "15_single_skip": [0.38, 95.8],
  mid_expansion_with_repeats: [0.22, 68.8],
  "2_3rd_of_llama": [0.26, 95.4],
  "2_3rds_plus_llama": [0.3, 102.7],
  skip_near_end_keep_last_two: [0.42, 79.0],
};

/** Of the model as it is. */
const UNPRUNED = [0.34, 91.1] as const;

const figures = ([correct, seconds]: readonly [number, number]): Figures => ({
  correct,
  "token-200": seconds / UNPRUNED[1],
});

export const frankenLlama: Paper = {
  id: "franken-llama",
  title: "Franken-LLaMA",
  source: "https://github.com/AngeloGalav/franken-llama",
  about:
    "Its own protocol, the first integer that the model says of the first 50 items, stands beside the likelihood score. " +
    "Of 50 items with four endings, 0.25 by chance has a standard error of 0.06: most of its differences are within it. " +
    "Its execution times stand beside those of a token by the router's cost model, as ratios.",
  columns: [
    {
      id: "correct",
      title: "its protocol, %",
      write: percent,
      kind: "score",
      task: "franken-hellaswag",
      metric: "correct",
      items: "0-49",
    },
    tokenTime(200),
    hellaswag,
  ],
  rows: [
    { label: "baseline", variant: BASE },
    ...Object.keys(RESULTS).map((label) => ({
      label,
      variant: `${BASE}-franken-${label.replaceAll("_", "-")}`,
    })),
  ],
  references: [
    {
      model: "Llama-2-7B-chat",
      ratios: ["token-200"],
      unpruned: figures(UNPRUNED),
      rows: Object.fromEntries(Object.entries(RESULTS).map(([label, result]) => [label, figures(result)])),
    },
  ],
};
