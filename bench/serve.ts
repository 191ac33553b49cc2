// `npm run bench`: the very process that `npm start` runs, as a client with the OpenAI SDK sees it.
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import type OpenAI from "openai";
import { root } from "../build/paths.ts";
import { benchDir } from "./gguf.ts";
import { commandLine, machine, machineLine } from "./machine.ts";
import { freePort, type Server, startCommand, startServer } from "./service-process.ts";
import { digits, range, spread } from "./stats.ts";
import { table } from "./table.ts";

const MODEL = "smollm2-135m";
const TOKENS = 64;
/** 32 tokens under the chat template. The word is one: by it prompts differ from the start, so that none is there already. */
const messages = (word: string): OpenAI.ChatCompletionMessageParam[] => [
  { role: "system", content: `You ${word} long stories.` },
  { role: "user", content: "Tell me a very long story about an old ferry, please." },
];
const PROMPT_TOKENS = 32;

const HELP = `npm run bench -- [options]

Starts the service, asks it for ${TOKENS} tokens after a prompt of ${PROMPT_TOKENS}, and stops it, several times.

  --runs N       runs, each with a start of its own (5)
  --json PATH    where the figures go (dist/bench/serve.json)
  --help         this text`;

const { values: options } = parseArgs({
  options: {
    runs: { type: "string", default: "5" },
    json: { type: "string", default: join(benchDir, "serve.json") },
    help: { type: "boolean", default: false },
  },
});

interface Reply {
  readonly ttftMs: number;
  readonly decodeTokensPerSecond: number;
}

/** One run's values, by figure. */
type Run = Record<keyof typeof FIGURES, number>;

const FIGURES = {
  startMs: "start of the process until ready (ms)",
  firstTtftMs: "time to first token, first request (ms)",
  ttftMs: "time to first token, warm (ms)",
  decodeTokensPerSecond: "decode, warm (tokens/s)",
} as const;

async function ask({ openai }: Server, word: string): Promise<Reply> {
  const started = performance.now();
  let first: number | undefined;
  let last = started;
  let usage: OpenAI.CompletionUsage | undefined;
  const stream = await openai.chat.completions.create({
    model: MODEL,
    messages: messages(word),
    temperature: 0,
    max_tokens: TOKENS,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    if (!chunk.choices[0]?.delta.content) continue;
    last = performance.now();
    first ??= last;
  }
  if (usage?.prompt_tokens !== PROMPT_TOKENS) {
    throw new Error(`the prompt has ${usage?.prompt_tokens} tokens instead of ${PROMPT_TOKENS}`);
  }
  if (first === undefined || usage.completion_tokens < TOKENS / 2) {
    throw new Error(`the reply has only ${usage.completion_tokens} tokens`);
  }
  return {
    ttftMs: first - started,
    decodeTokensPerSecond: ((usage.completion_tokens - 1) / (last - first)) * 1000,
  };
}

async function runOnce(args: string[]): Promise<Run> {
  const port = await freePort();
  const started = performance.now();
  const server = await startServer(args, port);
  try {
    const startMs = performance.now() - started;
    const firstReply = await ask(server, "tell");
    return { startMs, firstTtftMs: firstReply.ttftMs, ...(await ask(server, "write")) };
  } finally {
    await server.stop();
  }
}

async function main(): Promise<void> {
  if (options.help) return console.log(HELP);
  const count = Number(options.runs);
  if (!Number.isInteger(count) || count < 1) throw new Error(`--runs ${options.runs}: it must be 1 or more`);
  const before = machine();
  const args = await startCommand();
  const runs: Run[] = [];
  for (let index = 1; index <= count; index++) {
    const run = await runOnce(args);
    runs.push(run);
    const shown = Object.entries(run).map(([name, value]) => `${name} ${digits(value)}`);
    process.stderr.write(`run ${index} of ${count}  ${shown.join("  ")}\n`);
  }
  const names = Object.keys(FIGURES) as (keyof typeof FIGURES)[];
  const figures = names.map((name) => ({ name, title: FIGURES[name], ...spread(runs.map((run) => run[name])) }));
  const report = {
    machine: before,
    command: commandLine("bench"),
    figures,
  };
  const path = resolve(root, options.json);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  const rows = figures.map((figure) => [figure.title, digits(figure.median), range(figure), String(figure.runs)]);
  console.log(machineLine(report.machine));
  console.log(`${MODEL} over HTTP, a prompt of ${PROMPT_TOKENS} tokens, at most ${TOKENS} generated, greedy\n`);
  console.log(table(["", "median", "min-max", "runs"], rows));
  console.log(`\n${report.command}\nfigures: ${relative(process.cwd(), path)}`);
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
