// Token perplexity of WikiText-2's raw test text in disjoint windows of 512 tokens, as papers on quantization and pruning give it
// (GPTQ, arXiv 2210.17323): each window's tokens but its first are scored after those before them in the window.
import { defineTask, likelihoodsOf } from "../task.ts";

const WINDOW = 512;

export const wikitext512 = defineTask<readonly number[]>({
  id: "wikitext-512",
  title: `WikiText-2 test: token perplexity of the raw text in disjoint windows of ${WINDOW}`,
  version: 1,
  source: "wikitext2",
  metrics: [
    { name: "token_perplexity", kind: "perplexity", of: "logLikelihood", over: "tokens", higherIsBetter: false },
  ],
  async documents(text, { encode, startIds }) {
    const ids = [...startIds, ...(await encode(text))];
    const windows = Math.floor(ids.length / WINDOW);
    return Array.from({ length: windows }, (_, i) => ids.slice(i * WINDOW, (i + 1) * WINDOW));
  },
  item: ([first = 0, ...rest]) => ({
    requests: [{ type: "likelihood", context: [first], continuations: [rest] }],
    read: ([answer]) => ({ logLikelihood: likelihoodsOf(answer)[0] as number, tokens: rest.length }),
  }),
});
