// llama.cpp's WebAssembly build in headless Chromium: a page served from here runs it and takes the times as its callbacks come.
// It takes a prompt as text only; that it reads as many tokens as the others is checked each time.
// Argument: the GGUF file.
import { createReadStream, existsSync, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { answer, send } from "../answer.ts";

const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const [file] = process.argv.slice(2);
const esm = join(dirname(fileURLToPath(import.meta.url)), "node_modules/@wllama/wllama/esm");

const PAGE = `<!doctype html><title>wllama</title><script type="module">
import { Wllama } from "/index.js";
const quiet = { debug() {}, log() {}, warn() {}, error: console.error };
const wllama = new Wllama({ default: "/wllama.wasm" }, { logger: quiet });
await wllama.loadModel([await (await fetch("/model.gguf")).blob()], {
  n_ctx: 2048, n_batch: 512, n_threads: 1, n_gpu_layers: 0, n_parallel: 1, log_level: 4,
});
globalThis.generate = async (prompt, count, reuse) => {
  const arrivals = [];
  let usage;
  const started = performance.now();
  await wllama.createCompletion({
    prompt, max_tokens: count, temperature: 0, ignore_eos: true, cache_prompt: reuse, stream: true,
    stream_options: { include_usage: true },
    onData(chunk) {
      if (chunk.choices?.[0] && chunk.choices[0].finish_reason == null) arrivals.push(performance.now() - started);
      usage = chunk.usage ?? usage;
    },
  });
  return { arrivals, usage };
};
globalThis.version = Wllama.getLibllamaVersion();
</script>`;

const FILES = {
  "/": ["text/html"],
  "/favicon.ico": ["image/x-icon"],
  "/index.js": ["text/javascript", join(esm, "index.js")],
  "/wllama.wasm": ["application/wasm", join(esm, "wasm/wllama.wasm")],
  "/model.gguf": ["application/octet-stream", file],
};

const executablePath = CHROMIUM.find((path) => existsSync(path));
if (executablePath) await start(executablePath);
else send({ unavailable: `no Chromium at ${CHROMIUM.join(", ")}: apt-get install -y chromium` });

async function start(executablePath) {
  const { chromium } = await import("playwright-core");
  const server = createServer((request, response) => {
    const found = FILES[request.url ?? ""];
    if (!found) return response.writeHead(404).end();
    const [type, path] = found;
    response.writeHead(200, { "content-type": type, ...(path && { "content-length": statSync(path).size }) });
    if (path) createReadStream(path).pipe(response);
    else response.end(PAGE);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const profile = await mkdtemp(join(tmpdir(), "bench-chromium-"));
  const browser = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS, headless: true });
  const close = async () => {
    await browser.close();
    server.close();
    await rm(profile, { recursive: true, force: true });
  };
  const page = browser.pages()[0] ?? (await browser.newPage());
  const failures = [];
  page.on("pageerror", (error) => failures.push(error.message));
  page.on("console", (message) => message.type() === "error" && failures.push(message.text()));
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  try {
    await page.waitForFunction(() => globalThis.version, undefined, { timeout: 120_000 });
  } catch (error) {
    await close();
    return send({ unavailable: failures.join("; ") || error.message });
  }
  const run = async ({ prompts, count, reuse }) => {
    const { arrivals, usage } = await page.evaluate(
      ([text, tokens, keep]) => globalThis.generate(text, tokens, keep),
      [prompts[0].text, count, reuse],
    );
    if (usage?.prompt_tokens !== prompts[0].ids.length || usage.completion_tokens !== count) {
      throw new Error(`wllama read ${usage?.prompt_tokens} tokens and wrote ${usage?.completion_tokens}`);
    }
    // Text that ends inside a character is held back: such a token counts when the last one comes.
    while (arrivals.length < count) arrivals.push(arrivals.at(-1));
    return { arrivals: [arrivals] };
  };
  const version = await page.evaluate(() => globalThis.version);
  answer(`libllama ${version}, Chromium ${browser.browser()?.version() ?? ""}`.trim(), run, close);
}
