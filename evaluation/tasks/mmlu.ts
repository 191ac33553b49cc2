// MMLU (Hendrycks et al., arXiv 2009.03300): exam questions of 57 subjects, without examples before
// them. `mmlu` asks for the letter of the answer, `mmlu-continuation` for its text, which models
// too small to read letters still tell apart. As lm-evaluation-harness's groups `mmlu` and
// `mmlu_continuation`, version 1.0: lm_eval/tasks/mmlu/default and …/continuation.
import { strip } from "../python.ts";
import { defineTask, jsonLines } from "../task.ts";
import { ACC, ACC_NORM, choiceItem, normalizedItem } from "./choices.ts";

interface MmluDocument {
  readonly question: string;
  /** As in the name of the subject's file: `us_foreign_policy`. */
  readonly subject: string;
  readonly choices: readonly string[];
  readonly answer: number;
}

const LETTERS = ["A", "B", "C", "D"];
const nameOf = (subject: string): string => subject.replaceAll("_", " ");

export const mmlu = defineTask<MmluDocument>({
  id: "mmlu",
  title: "MMLU test, no examples: acc of the likeliest letter",
  version: 1,
  source: "mmlu",
  metrics: [ACC],
  documents: jsonLines,
  item({ question, subject, choices, answer }, tools) {
    const listed = choices.map((choice, i) => `${LETTERS[i]}. ${choice}\n`).join("");
    const heading = `The following are multiple choice questions (with answers) about ${nameOf(subject)}.\n\n`;
    const context = `${heading}${strip(question)}\n${listed}Answer:`;
    return choiceItem({ context, choices: LETTERS, label: answer }, tools);
  },
});

export const mmluContinuation = defineTask<MmluDocument>({
  id: "mmlu-continuation",
  title: "MMLU test, no examples: acc of the likeliest answer, acc_norm of the likeliest per character",
  version: 1,
  source: "mmlu",
  metrics: [ACC, ACC_NORM],
  documents: jsonLines,
  item({ question, subject, choices, answer }, tools) {
    const heading = `The following are questions (with answers) about ${nameOf(subject)}.\n\n`;
    const context = `${heading}Question: ${strip(question)}\nAnswer:`;
    return normalizedItem({ context, choices, label: answer }, tools);
  },
});
