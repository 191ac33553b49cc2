// TriviaQA (Joshi et al., arXiv 1705.03551) as a thesis on compressing LLaMA-3.2-1B measures it
// (https://github.com/AngeloGalav/masters_t, section "TriviaQA Question-Answering Evaluation"):
// 1,200 questions, with a paragraph that holds the answer (open book) or without one (closed book),
// greedy answers of at most 50 tokens.
import { SPACE, strip } from "../python.ts";
import { answerOf, defineTask, jsonLines, type Task } from "../task.ts";
import { normalize } from "./triviaqa.ts";

interface TriviaqaDocument {
  readonly question: string;
  /** Every way to write the answer. */
  readonly aliases: readonly string[];
  /** Open book only. */
  readonly context?: string;
}

const QUESTIONS = 1200;
const MAX_TOKENS = 50;
/** Share of an alias's words that the answer has to hold. */
const LEAST_OVERLAP = 0.8;

const triviaqa = (id: string, title: string, source: "triviaqa" | "triviaqa-open"): Task =>
  defineTask<TriviaqaDocument>({
    id,
    title,
    version: 1,
    source,
    metrics: ["correct", "exact", "contained", "overlap"].map((name) => ({
      ...({ name, of: name, kind: "mean", higherIsBetter: true } as const),
    })),
    documents: (text) => jsonLines<TriviaqaDocument>(text).slice(0, QUESTIONS),
    async item({ question, aliases, context }, tools) {
      const book = context === undefined ? "" : `Context: ${context}\n`;
      const prompt = await tools.encode(`${book}Question: ${question}\nAnswer:`);
      return {
        requests: [
          {
            type: "greedy",
            context: [...tools.startIds, ...prompt],
            maxTokens: MAX_TOKENS,
            stopIds: tools.endIds,
          },
        ],
        read([answer]) {
          const text = strip(tools.decode(answerOf("greedy", answer).ids));
          return { ...judge(text, aliases), answer: text };
        },
      };
    },
  });

export const triviaqaClosed = triviaqa(
  "triviaqa-closed",
  "TriviaQA closed-book, 1,200 questions: the answer is, holds, or has 80 % of the words of an alias",
  "triviaqa",
);
export const triviaqaOpen = triviaqa(
  "triviaqa-open",
  "TriviaQA open-book, after a paragraph of Wikipedia that holds an alias; as triviaqa-closed",
  "triviaqa-open",
);

const SPACES = new RegExp(`[${SPACE}]+`, "g");

/** Lower case, without punctuation, one space between words. */
const plain = (text: string): string => strip(normalize(text).replace(SPACES, " "));

/**
 * Whether an answer is one of the aliases (`exact`), has one in it (`contained`), or has at least 80 % of the
 * words of one that has several (`overlap`); `correct` where any of these holds.
 */
export function judge(
  answer: string,
  aliases: readonly string[],
): Readonly<Record<"correct" | "exact" | "contained" | "overlap", number>> {
  const text = plain(answer);
  const words = new Set(text.split(" "));
  const known = aliases.map(plain).filter(Boolean);
  const exact = known.includes(text);
  const contained = known.some((alias) => text.includes(alias));
  const overlap = known.some((alias) => {
    const wanted = new Set(alias.split(" "));
    const found = [...wanted].filter((word) => words.has(word)).length;
    return wanted.size > 1 && found / wanted.size >= LEAST_OVERLAP;
  });
  return {
    correct: Number(exact || contained || overlap),
    exact: Number(exact),
    contained: Number(contained),
    overlap: Number(overlap),
  };
}
