// TriviaQA (Joshi et al., arXiv 1705.03551) from memory, by generation: prompt, stops and metric of lm-evaluation-harness's task
// `triviaqa`, version 3.0: lm_eval/tasks/triviaqa/default.yaml. Its questions are those of rc.wikipedia.nocontext, not of rc.nocontext.
import { strip } from "../python.ts";
import { answerOf, defineTask, jsonLines } from "../task.ts";

interface TriviaqaDocument {
  readonly question: string;
  /** Every way to write the answer. */
  readonly aliases: readonly string[];
}

const STOPS = ["\n", ".", ","];
/** The harness's default for transformers' models. */
const MAX_TOKENS = 256;
/** Python's string.punctuation. */
const PUNCTUATION = /[!-/:-@[-`{-~]/g;

export const triviaqa = defineTask<TriviaqaDocument>({
  id: "triviaqa",
  title: "TriviaQA closed-book: the generated answer is exactly one of the aliases",
  version: 1,
  source: "triviaqa",
  metrics: [{ name: "exact_match", kind: "mean", of: "exact_match", higherIsBetter: true }],
  documents: jsonLines,
  async item({ question, aliases }, tools) {
    return {
      requests: [
        {
          type: "greedy",
          context: [...tools.startIds, ...(await tools.encode(`Question: ${question}?\nAnswer:`))],
          maxTokens: MAX_TOKENS,
          stopIds: [...tools.endIds, ...tools.idsWith(STOPS)],
        },
      ],
      read([answer]) {
        const text = answerIn(tools.decode(answerOf("greedy", answer).ids));
        return { exact_match: Number(aliases.some((alias) => normalize(alias) === normalize(text))), answer: text };
      },
    };
  },
});

/** The generated text up to the first stop string, without white space around it. */
export function answerIn(text: string): string {
  const end = Math.min(...STOPS.map((stop) => text.indexOf(stop)).filter((at) => at >= 0), text.length);
  return strip(text.slice(0, end));
}

/** As the harness compares: lower case, then without ASCII punctuation. */
export const normalize = (text: string): string => text.toLowerCase().replace(PUNCTUATION, "");
