// `npm run bench:variants`: how fast each variant decodes beside the base, after a short prompt and after a long one.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { catalogueFile, root } from "../build/paths.ts";
import { compileCatalogue, type Variant } from "../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../src/variants/catalogue-file.ts";
import { claimCore } from "./child.ts";
import { benchDir } from "./gguf.ts";
import { commandLine, machine, machineLine } from "./machine.ts";
import { decodeRate } from "./measures.ts";
import { type CutPrompt, createPrompts } from "./prompts.ts";
import { digits, range, type Spread, spread } from "./stats.ts";
import type { Running } from "./subject.ts";
import { node } from "./subjects/node.ts";
import { table } from "./table.ts";

const BASE = "smollm2-135m";
/** Tokens of the prompt, and how many are decoded after it. */
const PLACES = [
  { prompt: 32, count: 64 },
  { prompt: 1024, count: 32 },
] as const;

const HELP = `npm run bench:variants -- [options]

Decodes with each variant on the WebAssembly engine in Node, on one core, the variants in turn, round by round. Prints
tokens a second and how many times the base's they are (each round's ratio; median, smallest and largest).

  --variants a,b    these variants (all of the base's that are not "research")
  --rounds N        rounds, each with every variant once (5)
  --json PATH       where the figures go (dist/bench/variants.json)
  --help            this text`;

const { values: options } = parseArgs({
  options: {
    variants: { type: "string" },
    rounds: { type: "string", default: "5" },
    json: { type: "string", default: join(benchDir, "variants.json") },
    help: { type: "boolean", default: false },
  },
});

/** Tokens a second, one value a round, by place. */
type Rates = readonly number[][];

interface Figure {
  readonly variant: string;
  readonly prompt: number;
  readonly tokensPerSecond: Spread;
  /** Of the base in the same round. */
  readonly times: Spread;
}

/** The base first. @throws Error that names an id that is none of the base's variants */
function choose(all: ReadonlyMap<string, Variant>, asked: string | undefined): string[] {
  const served = [...all].filter(([, { recipe }]) => "slots" in recipe);
  const ids = asked?.split(",") ?? served.filter(([, { recipe }]) => recipe.status !== "research").map(([id]) => id);
  const unknown = ids.find((id) => !served.some(([other]) => other === id));
  if (unknown !== undefined) {
    throw new Error(`--variants ${unknown}: it must be among ${served.map(([id]) => id).join(", ")}`);
  }
  return [BASE, ...ids.filter((id) => id !== BASE)];
}

async function measure(running: Running, variant: string, cut: CutPrompt): Promise<number[]> {
  const rates: number[] = [];
  for (const { prompt, count } of PLACES) {
    rates.push(decodeRate(await running.run({ variant, prompts: [await cut(prompt)], count, reuse: true })));
  }
  return rates;
}

function figuresOf(rates: ReadonlyMap<string, Rates>): Figure[] {
  const base = rates.get(BASE) ?? [];
  return PLACES.flatMap(({ prompt }, place) =>
    [...rates].map(([variant, rounds]) => ({
      variant,
      prompt,
      tokensPerSecond: spread(rounds.map((values) => values[place]!)),
      times: spread(rounds.map((values, round) => values[place]! / base[round]![place]!)),
    })),
  );
}

function print(figures: readonly Figure[]): string {
  return PLACES.map(({ prompt, count }) => {
    const rows = figures
      .filter((figure) => figure.prompt === prompt)
      .map(({ variant, tokensPerSecond, times }) => [
        ...[variant, digits(tokensPerSecond.median), range(tokensPerSecond)],
        ...[`${times.median.toFixed(2)} x`, `${times.min.toFixed(2)}-${times.max.toFixed(2)}`],
      ]);
    const header = ["", "tokens/s", "min-max", "of the base", "min-max"];
    return `decode, ${count} tokens after ${prompt}\n${table(header, rows)}`;
  }).join("\n\n");
}

async function main(): Promise<void> {
  if (options.help) return console.log(HELP);
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds ${options.rounds}: it must be 1 or more`);
  const text = await readFile(catalogueFile, "utf8").catch(() => {
    throw new Error("nothing is built: npm run build");
  });
  const catalogue = compileCatalogue(catalogueFileSchema.parse(JSON.parse(text)));
  const variants = choose(catalogue, options.variants);
  const cut = await createPrompts(catalogue.get(BASE)!.plan.base.id);
  const before = machine();
  const core = claimCore();
  const running = await node.start({ core });
  const rates = new Map<string, number[][]>(variants.map((id) => [id, []]));
  try {
    // What is compiled or read at the first use is behind each variant then.
    for (const id of variants) await running.run({ variant: id, prompts: [await cut(16)], count: 8, reuse: false });
    for (let round = 1; round <= rounds; round++) {
      for (const id of variants) {
        const values = await measure(running, id, cut);
        rates.get(id)?.push(values);
        process.stderr.write(`round ${round} of ${rounds}  ${id}  ${values.map(digits).join(", ")} tokens/s\n`);
      }
    }
  } finally {
    await running.stop();
  }
  const figures = figuresOf(rates);
  const command = commandLine("bench:variants");
  const path = resolve(root, options.json);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(
    path,
    `${JSON.stringify({ machine: before, command, core, detail: running.detail, figures }, null, 2)}\n`,
  );
  const pinned = core === undefined ? "not pinned: taskset or a second core is missing" : `on core ${core} alone`;
  console.log(`${machineLine(before)}\n${pinned}, ${running.detail}\n\n${print(figures)}\n\n${command}`);
  console.log(`figures: ${relative(process.cwd(), path)}`);
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
