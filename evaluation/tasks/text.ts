// What the tasks that score whole texts share.
import { rollingWindows } from "../encode.ts";
import type { MetricRule } from "../metrics.ts";
import { byteLength, countWords } from "../python.ts";
import { type Item, likelihoodsOf, type TaskTools } from "../task.ts";

/** Most tokens that go into the model at once. Scores with other windows are other scores. */
export const WINDOW = 2048;

export const perTextMetrics: readonly MetricRule[] = [
  { name: "word_perplexity", kind: "perplexity", of: "logLikelihood", over: "words", higherIsBetter: false },
  { name: "byte_perplexity", kind: "perplexity", of: "logLikelihood", over: "bytes", higherIsBetter: false },
  { name: "bits_per_byte", kind: "bits", of: "logLikelihood", over: "bytes", higherIsBetter: false },
];

/** The log-likelihood of a text as the model reads it, with the words and bytes of the text as it was. */
export async function textItem(original: string, text: string, tools: TaskTools): Promise<Item> {
  const ids = await tools.encode(text);
  return {
    requests: rollingWindows(ids, tools.prefixId, WINDOW),
    read: (answers) => ({
      logLikelihood: answers.flatMap(likelihoodsOf).reduce((sum, value) => sum + value, 0),
      words: countWords(original),
      bytes: byteLength(original),
      tokens: ids.length,
    }),
  };
}
