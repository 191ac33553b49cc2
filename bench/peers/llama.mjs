// llama.cpp through node-llama-cpp: its prebuilt CPU binary, one thread, token ids in and token ids out.
// Arguments: the GGUF file; then, optionally, a folder of its binaries to load instead of the package's own.
import { readFileSync } from "node:fs";
import { register } from "node:module";
import { pathToFileURL } from "node:url";
import { answer, send } from "../answer.ts";

const CONTEXT = 2048;
const [file, binaries] = process.argv.slice(2);

if (binaries) {
  const url = JSON.stringify(pathToFileURL(binaries).href);
  const hook = `export const resolve = (name, context, next) =>
    name.startsWith("@node-llama-cpp/linux-") ? { url: ${url}, shortCircuit: true } : next(name, context);`;
  register(`data:text/javascript,${encodeURIComponent(hook)}`);
}

try {
  const { getLlama, LlamaLogLevel } = await import("node-llama-cpp");
  const llama = await getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: 1,
    logLevel: LlamaLogLevel.error,
  });
  const model = await llama.loadModel({ modelPath: file });
  const context = await model.createContext({ contextSize: CONTEXT, threads: 1, batchSize: 512 });
  const sequence = context.getSequence();

  const run = async ({ prompts, count }) => {
    await sequence.clearHistory();
    const arrivals = [];
    const started = performance.now();
    for await (const _ of sequence.evaluate(prompts[0].ids, { temperature: 0, yieldEogToken: true })) {
      arrivals.push(performance.now() - started);
      if (arrivals.length === count) break;
    }
    if (arrivals.length !== count) throw new Error(`llama.cpp ended after ${arrivals.length} of ${count} tokens`);
    return { arrivals: [arrivals] };
  };
  answer(`${loadedBackend()}, release ${llama.llamaCppRelease.release}`, run, () => llama.dispose());
} catch (error) {
  send({ unavailable: error instanceof Error ? error.message : String(error) });
}

/** The CPU build that llama.cpp chose among those in the package. */
function loadedBackend() {
  const maps = process.platform === "linux" ? readFileSync("/proc/self/maps", "utf8") : "";
  return /libggml-cpu[^/\s]*(?=\.so)/.exec(maps)?.[0] ?? "CPU";
}
