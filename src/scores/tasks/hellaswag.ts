// HellaSwag (Zellers et al., arXiv 1905.07830): which of four endings goes on with a text. Prepared and scored as lm-evaluation-harness's
// task `hellaswag`, version 1.0: lm_eval/tasks/hellaswag/utils.py and hellaswag.yaml.
import { encodeContinuations } from "../encode.ts";
import { capitalize, length, strip } from "../python.ts";
import { defineTask, jsonLines, likelihoodsOf } from "../task.ts";

interface HellaswagDocument {
  readonly activity_label: string;
  readonly ctx_a: string;
  readonly ctx_b: string;
  readonly endings: readonly string[];
  readonly label: number;
}

export const hellaswag = defineTask<HellaswagDocument>({
  id: "hellaswag",
  title: "HellaSwag validation: acc of the likeliest ending, acc_norm of the likeliest per character",
  version: 1,
  source: "hellaswag",
  metrics: [
    { name: "acc", kind: "mean", of: "acc", higherIsBetter: true },
    { name: "acc_norm", kind: "mean", of: "acc_norm", higherIsBetter: true },
  ],
  documents: jsonLines,
  async item(document, tools) {
    const { context, endings } = prepareHellaswag(document);
    const request = await encodeContinuations(
      tools,
      context,
      endings.map((ending) => ` ${ending}`),
    );
    return {
      requests: [request],
      read([answer]) {
        const logLikelihoods = likelihoodsOf(answer);
        const choice = likeliest(logLikelihoods);
        const choiceNorm = likeliest(logLikelihoods.map((value, i) => value / length(endings[i] as string)));
        return {
          acc: Number(choice === document.label),
          acc_norm: Number(choiceNorm === document.label),
          choice,
          choice_norm: choiceNorm,
          logLikelihoods,
        };
      },
    };
  },
});

/** The texts that are encoded; an ending may keep a white space at its beginning, from before a bracket that was taken out. */
export function prepareHellaswag({ activity_label, ctx_a, ctx_b, endings }: HellaswagDocument): {
  context: string;
  endings: string[];
} {
  return { context: clean(`${activity_label}: ${ctx_a} ${capitalize(ctx_b)}`), endings: endings.map(clean) };
}

/** WikiHow's texts have marks in brackets. The order of the steps matters. */
const clean = (text: string): string =>
  strip(text)
    .replaceAll(" [title]", ". ")
    .replace(/\[[^\n]*?\]/g, "")
    .replaceAll("  ", " ");

/** The first of the highest. */
const likeliest = (values: readonly number[]): number => values.indexOf(Math.max(...values));
