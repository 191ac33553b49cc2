// HellaSwag (Zellers et al., arXiv 1905.07830): which of four endings goes on with a text. Prepared and scored as lm-evaluation-harness's
// task `hellaswag`, version 1.0: lm_eval/tasks/hellaswag/utils.py and hellaswag.yaml.
import { capitalize, strip } from "../python.ts";
import { defineTask, jsonLines } from "../task.ts";
import { ACC, ACC_NORM, normalizedItem } from "./choices.ts";

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
  metrics: [ACC, ACC_NORM],
  documents: jsonLines,
  item(document, tools) {
    const { context, endings } = prepareHellaswag(document);
    return normalizedItem({ context, choices: endings, label: document.label }, tools);
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
