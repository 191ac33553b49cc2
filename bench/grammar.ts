// `npm run bench:grammar`: what a grammar costs on top of a token, with the real engine in workerd, and what the nearest library costs.
import { spawnSync } from "node:child_process";
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Log, LogLevel, Miniflare } from "miniflare";
import { root, tokenizersFile } from "../build/paths.ts";
import { bundle, quietWrangler } from "../build/workers.ts";
import { createTokenizer, type TokenizerJson } from "../src/tokenizer/index.ts";
import { benchDir } from "./gguf.ts";
import { FORMATS, REFUSED } from "./grammar-formats.ts";
import { commandLine, machine, machineLine } from "./machine.ts";
import { digits, spread } from "./stats.ts";
import { installPeers } from "./subjects/peers.ts";
import { table } from "./table.ts";
import type { GrammarRun, GrammarTimes } from "./worker/grammar.ts";

const BASE = "smollm2-135m-instruct";
const HELP = `npm run bench:grammar -- [options]

Decodes under grammars on the real engine, in workerd, and times what the grammar adds to each token.

  --tokens N     tokens of a reply at most (96)
  --runs N       replies a format, each with another seed (3)
  --peer         also @mlc-ai/web-xgrammar in Node; installs the benchmark's peers
  --help         this text`;

const { values: options } = parseArgs({
  options: {
    tokens: { type: "string", default: "96" },
    runs: { type: "string", default: "3" },
    peer: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]): number => (values.length ? sum(values) / values.length : 0);

async function startWorker(): Promise<Miniflare> {
  const dir = join(benchDir, "worker-grammar");
  await mkdir(benchDir, { recursive: true });
  await bundle("bench/worker/grammar.toml", dir);
  Object.assign(process.env, quietWrangler, { WRANGLER_LOG: "error" });
  const { unstable_getMiniflareWorkerOptions } = await import("wrangler");
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join(root, "bench/worker/grammar.toml"));
  const { modulesRules: _, ...bindings } = workerOptions;
  const wasm = (await readdir(dir)).filter((file) => file.endsWith(".wasm"));
  return new Miniflare({
    ...bindings,
    modulesRoot: dir,
    modules: [
      { type: "ESModule", path: join(dir, "grammar.js") },
      ...wasm.map((file) => ({ type: "CompiledWasm" as const, path: join(dir, file) })),
    ],
    cf: false,
    log: new Log(LogLevel.ERROR),
  });
}

async function measure(tokenizerJson: TokenizerJson): Promise<void> {
  const tokenizer = createTokenizer(tokenizerJson);
  const { ids: promptIds } = await tokenizer.encodeChat([
    { role: "user", content: "Answer with JSON: what happened in Rome last week, and who was there?" },
  ]);
  const miniflare = await startWorker();
  try {
    const { href: url } = await miniflare.ready;
    const ask = async (run: GrammarRun): Promise<GrammarTimes> => {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(run) });
      if (!response.ok) throw new Error(`the bench Worker said ${response.status}: ${await response.text()}`);
      return response.json() as Promise<GrammarTimes>;
    };
    const rows: string[][] = [];
    let last: GrammarTimes | undefined;
    for (const [name, format] of Object.entries(FORMATS)) {
      const runs: GrammarTimes[] = [];
      for (let seed = 0; seed < Number(options.runs); seed++) {
        runs.push(
          await ask({
            variant: "smollm2-135m",
            format,
            promptIds,
            maxTokens: Number(options.tokens),
            temperature: 0.7,
            seed,
          }),
        );
      }
      const all = (part: "free" | "mask" | "masked" | "accept"): number[] => runs.flatMap((run) => run[part]);
      const token = mean(runs.flatMap(({ step }) => step.slice(1))) + mean(all("free"));
      const sampling = mean(all("masked")) - mean(all("free"));
      const added = mean(all("mask")) + sampling + mean(all("accept"));
      last = runs.at(-1) as GrammarTimes;
      rows.push([
        name,
        digits(spread(runs.map((run) => run.compile)).median),
        String(last.states),
        String(all("mask").length),
        digits(token),
        digits(mean(all("mask"))),
        digits(Math.max(...all("mask"))),
        digits(sampling),
        digits(mean(all("accept"))),
        `${((100 * added) / token).toFixed(1)} %`,
      ]);
    }
    const header = ["format", "compile", "states", "tokens", "token", "mask", "longest", "sampling", "accept", "added"];
    console.log(
      `${table(header, rows)}\n\nms; mean over all tokens, "longest" the longest mask, "added": what the grammar adds to a token`,
    );
    const { vocabulary = 0, vocabularyBytes = 0 } = last ?? {};
    console.log(
      `the vocabulary: read in ${digits(vocabulary)} ms, ${(vocabularyBytes / 2 ** 20).toFixed(2)} MiB, once an isolate`,
    );
  } finally {
    await miniflare.dispose();
  }
}

interface PeerResult {
  readonly tokenizerMs: number;
  readonly compiled: Readonly<Record<string, number>>;
  readonly accepted: readonly (readonly [object, string])[];
  readonly heapBytes: number;
}

function measurePeer({ tokenizer }: TokenizerJson): void {
  installPeers();
  const tokens: string[] = [];
  for (const [token, id] of Object.entries(tokenizer.model.vocab)) tokens[id] = token;
  const schemas = Object.fromEntries(
    Object.entries(FORMATS).flatMap(([name, format]) => (format.type === "json_schema" ? [[name, format.schema]] : [])),
  );
  const input = JSON.stringify({ tokens, endIds: [2], schemas, refused: REFUSED });
  const { status, stdout, stderr } = spawnSync(process.execPath, ["bench/peers/xgrammar.mjs"], {
    cwd: root,
    input,
    maxBuffer: 1 << 28,
  });
  if (status !== 0) throw new Error(`bench/peers/xgrammar.mjs failed: ${stderr}`);
  const { tokenizerMs, compiled, accepted, heapBytes }: PeerResult = JSON.parse(String(stdout));
  const rows = Object.entries(compiled).map(([name, ms]) => [name, digits(ms)]);
  console.log(
    `\n@mlc-ai/web-xgrammar in Node: tokenizer info ${digits(tokenizerMs)} ms, heap ${(heapBytes / 2 ** 20).toFixed(1)} MiB`,
  );
  console.log(table(["format", "compile (ms)"], rows));
  for (const [schema, text] of accepted) console.log(`accepts ${text} for ${JSON.stringify(schema)}`);
}

if (options.help) {
  console.log(HELP);
} else {
  const tokenizers: Record<string, TokenizerJson> = JSON.parse(await readFile(tokenizersFile, "utf8"));
  const tokenizerJson = tokenizers[BASE];
  if (!tokenizerJson) throw new Error(`dist/tokenizers.json has no ${BASE}: npm run build`);
  console.log(`${commandLine("bench:grammar")}\n${machineLine(machine())}\n`);
  await measure(tokenizerJson);
  if (options.peer) measurePeer(tokenizerJson);
}
