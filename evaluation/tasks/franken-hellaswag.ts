// HellaSwag as Franken-LLaMA asks it (https://github.com/AngeloGalav/franken-llama): the model is
// shown the numbered endings and says which one goes on best. The first 50 items, greedy, 250
// tokens with the prompt; the first integer of the answer counts.
import { answerOf, defineTask, jsonLines } from "../task.ts";

interface HellaswagDocument {
  readonly ctx_a: string;
  readonly ctx_b: string;
  readonly endings: readonly string[];
  readonly label: number;
}

const ITEMS = 50;
/** Of prompt and answer. */
const MAX_TOKENS = 250;

export const frankenHellaswag = defineTask<HellaswagDocument>({
  id: "franken-hellaswag",
  title: "HellaSwag as Franken-LLaMA asks it: the first integer that the model says, 50 items",
  version: 1,
  source: "hellaswag",
  metrics: [
    { name: "correct", kind: "mean", of: "correct", higherIsBetter: true },
    { name: "answered", kind: "mean", of: "answered", higherIsBetter: true },
  ],
  documents: (text) => jsonLines<HellaswagDocument>(text).slice(0, ITEMS),
  async item({ ctx_a, ctx_b, endings, label }, tools) {
    const context = [...tools.startIds, ...(await tools.encode(promptOf(`${ctx_a} ${ctx_b}`.trim(), endings)))];
    const maxTokens = Math.max(1, MAX_TOKENS - context.length);
    return {
      requests: [{ type: "greedy", context, maxTokens, stopIds: tools.endIds }],
      read([answer]) {
        const text = tools.decode(answerOf("greedy", answer).ids);
        const choice = choiceIn(text);
        return {
          correct: Number(choice === label),
          answered: Number(choice !== undefined),
          choice: choice ?? -1,
          answer: text,
        };
      },
    };
  },
});

function promptOf(context: string, endings: readonly string[]): string {
  const choices = endings.map((ending, i) => `${i + 1}. ${ending}\n`).join("");
  const question = "Which choice is the best continuation? (1, 2, 3, or 4)";
  return `Context: ${context}\nChoices:\n${choices}${question}\nAnswer: `;
}

/** The first integer of an answer, less one: the place of an ending, or of none. */
export function choiceIn(answer: string): number | undefined {
  const [integer] = /\d+/.exec(answer) ?? [];
  return integer === undefined ? undefined : Number(integer) - 1;
}
