// `npm run bench:engine`: our engines and their peers on the same file and prompts, in one run, taking turns round by round.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { catalogueFile, root } from "../build/paths.ts";
import { compileCatalogue } from "../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../src/variants/catalogue-file.ts";
import { claimCore } from "./child.ts";
import { benchDir } from "./gguf.ts";
import { commandLine, machine } from "./machine.ts";
import { MEASURES } from "./measures.ts";
import { createPrompts } from "./prompts.ts";
import { makeReport, printReport } from "./report.ts";
import { runRounds } from "./rounds.ts";
import { node } from "./subjects/node.ts";
import { installPeers, llama, llamaAvx2, wllama } from "./subjects/peers.ts";
import { worker } from "./subjects/worker.ts";

const BASE = "smollm2-135m-instruct";
const SUBJECTS = [worker("wasm"), node, worker("onnx"), llama, llamaAvx2, wllama];

const ids = (all: readonly { readonly id: string }[]): string => all.map(({ id }) => id).join(", ");

const HELP = `npm run bench:engine -- [options]

Measures tokens a second on one core, each engine in turn, prints the figures and writes them as JSON.

  --rounds N        rounds, each with every engine and measure once (5)
  --only a,b        these engines: ${ids(SUBJECTS)}
  --measures a,b    these measures: ${ids(MEASURES)}
  --json PATH       where the figures go (dist/bench/engine.json)
  --help            this text

The peers are installed in bench/peers when they are first asked for; wllama also needs Chromium. It takes most of the
time: without it a round is a few minutes.`;

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    only: { type: "string" },
    measures: { type: "string" },
    json: { type: "string", default: join(benchDir, "engine.json") },
    help: { type: "boolean", default: false },
  },
});

/** @throws Error naming the choices when one is not among them */
function choose<T extends { readonly id: string }>(option: string, all: readonly T[], wanted: string | undefined): T[] {
  if (wanted === undefined) return [...all];
  const chosen = wanted.split(",");
  const unknown = chosen.find((id) => !all.some((entry) => entry.id === id));
  if (unknown !== undefined) throw new Error(`${option} ${unknown}: it must be among ${ids(all)}`);
  return all.filter(({ id }) => chosen.includes(id));
}

async function main(): Promise<void> {
  if (options.help) return console.log(HELP);
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${options.rounds}: it must be 1 or more`);
  const subjects = choose("--only", SUBJECTS, options.only);
  const measures = choose("--measures", MEASURES, options.measures);

  const catalogue = catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8")));
  const plans = compileCatalogue(catalogue);
  if (subjects.some(({ ours }) => !ours)) installPeers();

  const before = machine();
  const core = claimCore();
  const result = await runRounds({
    subjects,
    measures,
    rounds,
    core,
    cut: await createPrompts(BASE),
    progress: (line) => process.stderr.write(`${line}\n`),
  });
  const report = makeReport({
    ...result,
    machine: before,
    command: commandLine("bench:engine"),
    core,
    costs: (variant) => plans.get(variant)!.plan.costs,
  });
  const path = resolve(root, options.json);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`${printReport(report)}\nfigures: ${relative(process.cwd(), path)}`);
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
