// Asks llama.cpp, through node-llama-cpp, for a GGUF file's likelihoods and greedy text. Arguments: the file, and a JSON of
// { package, prompts: token ids, count }. Prints [{ nll, greedy }] on the last line.
import { pathToFileURL } from "node:url";

const [file, request] = process.argv.slice(2);
const { package: entry, prompts, count } = JSON.parse(request);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);

const llama = await getLlama({
  ...{ gpu: false, build: "never", skipDownload: true, maxThreads: 2 },
  logLevel: LlamaLogLevel.error,
});
const model = await llama.loadModel({ modelPath: file });
const context = await model.createContext({
  ...{ contextSize: 256, threads: 2, flashAttention: false },
  ...{ experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32" },
});
const sequence = context.getSequence();

/** Logits after each token, by token. */
async function logitsAfter(tokens) {
  const options = { temperature: 1, topK: 0, topP: 1, minP: 0 };
  const outputs = await sequence.controlledEvaluate(
    tokens.map((token) => [token, { generateNext: { logits: true, options } }]),
  );
  return outputs.map(({ next }) => next.logits);
}

const answers = [];
for (const prompt of prompts) {
  await sequence.clearHistory();
  const rows = await logitsAfter(prompt);
  const nll = prompt.slice(1).map((token, i) => {
    const logits = [...rows[i].values()];
    const most = logits.reduce((a, b) => Math.max(a, b));
    return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0)) - rows[i].get(token);
  });
  const likeliest = (logits) => [...logits].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
  const greedy = [likeliest(rows.at(-1))];
  while (greedy.length < count) greedy.push(likeliest((await logitsAfter(greedy.slice(-1)))[0]));
  answers.push({ nll, greedy });
}
console.log(JSON.stringify(answers));
await llama.dispose();
