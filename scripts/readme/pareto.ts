// Pictures of what each variant takes and loses: decode time against perplexity, and against
// HellaSwag.
import { frontier } from "../../compress/sweep/frontier.ts";
import { plot } from "../../compress/sweep/plot.ts";
import { COLUMNS, CONTEXTS, type Standings } from "./standing.ts";

interface Picture {
  readonly file: string;
  readonly metric: string;
  readonly loss: string;
  /** A metric as something to lose, lower is better. */
  lossOf(value: number): number;
}

export const PICTURES: readonly Picture[] = [
  {
    file: "docs/pareto-perplexity.svg",
    metric: "word_perplexity",
    loss: "word perplexity on WikiText-2, logarithmic",
    lossOf: (value) => value,
  },
  {
    file: "docs/pareto-hellaswag.svg",
    metric: "acc_norm",
    loss: "HellaSwag, % of wrong answers (acc_norm), logarithmic",
    lossOf: (value) => 100 * (1 - value),
  },
];

/** `attn-drop-5` is one of `attn-drop`; every Franken configuration stands for itself. */
const familyOf = (label: string): string => (label.startsWith("franken-") ? "franken" : label.replace(/-\d+$/, ""));

export function pictureOf({ metric, loss, lossOf }: Picture, { rows, counts }: Standings): string {
  const column = COLUMNS.findIndex((each) => each.metric === metric);
  const [base = ""] = rows.map(({ variant }) => variant.recipe.id);
  const context = CONTEXTS[1];
  const points = rows.flatMap(({ variant, decodeMs, metrics }) => {
    const found = metrics[column];
    if (!found) return [];
    const scale = metric === "acc_norm" ? 100 : 1;
    const label = variant.recipe.id === base ? base : variant.recipe.id.replace(`${base}-`, "");
    const stderr = found.stderr === undefined ? undefined : found.stderr * scale;
    return [{ label, family: familyOf(label), cost: decodeMs[1] as number, loss: lossOf(found.value), stderr }];
  });
  const best = new Set(frontier(points));
  return plot({
    title: "What each variant takes and loses",
    subtitle: `${counts[column]} ${COLUMNS[column]?.items}; bars are standard errors, full circles the frontier`,
    cost: `milliseconds a token after ${context.toLocaleString("en")} tokens, by the router's costs`,
    loss,
    points: points.map((point) => ({ ...point, onFrontier: best.has(point) })),
  });
}
