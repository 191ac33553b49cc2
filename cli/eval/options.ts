// The command line of `npm run eval`.
import { parseArgs } from "node:util";
import { parseItems, sampleOf } from "../../evaluation/items.ts";
import type { Task } from "../../evaluation/task.ts";
import { TASKS } from "../../evaluation/tasks/index.ts";
import type { EngineName } from "../../src/engine/index.ts";
import type { Catalogue, Variant } from "../../src/variants/index.ts";

export class UsageError extends Error {
  override readonly name = "UsageError";
}

export interface EvalOptions {
  readonly variants: readonly Variant[];
  readonly tasks: readonly Task[];
  readonly engine: EngineName;
  readonly workers: number;
  readonly out: string | undefined;
  readonly record: boolean;
  /** Folder for results that are kept between runs. */
  readonly state: string | undefined;
  /** The item numbers that were asked for, of a task with so many. */
  select(count: number): number[];
  /** How a command asks for the same items. */
  readonly selection: readonly string[];
}

const OPTIONS = {
  variant: { type: "string" },
  task: { type: "string" },
  sample: { type: "boolean", default: false },
  limit: { type: "string" },
  items: { type: "string" },
  engine: { type: "string", default: "wasm" },
  workers: { type: "string", default: "1" },
  out: { type: "string" },
  record: { type: "boolean", default: false },
  state: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

/** @returns undefined when the command line asks for help; @throws UsageError that names the option and what it may be */
export function readOptions(args: readonly string[], catalogue: Catalogue): EvalOptions | undefined {
  const values = parse(args);
  if (values.help) return undefined;
  const { engine, record, out, state } = values;
  if (engine !== "wasm" && engine !== "onnx") throw new UsageError(`--engine is wasm or onnx, not ${engine}`);
  if (record && engine !== "wasm") throw new UsageError("--record is for the wasm engine, which serves");
  return {
    variants: named("--variant", values.variant, catalogue),
    tasks: named("--task", values.task, TASKS),
    engine,
    workers: positive("--workers", values.workers),
    record,
    out,
    state,
    ...selectionOf(values),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Entries of a table by a list of ids with commas between, or all of them. */
function named<T>(option: string, text: string | undefined, table: ReadonlyMap<string, T>): T[] {
  const known = `there are: all, ${[...table.keys()].join(", ")}`;
  if (!text) throw new UsageError(`${option} is missing; ${known}`);
  if (text === "all") return [...table.values()];
  return [...new Set(text.split(","))].map((id) => {
    const found = table.get(id.trim());
    if (!found) throw new UsageError(`${option}: no ${id.trim() || "empty name"}; ${known}`);
    return found;
  });
}

function positive(option: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new UsageError(`${option} is a whole number above 0, not ${text}`);
  return Number(text);
}

function selectionOf({ sample, limit, items }: ReturnType<typeof parse>): Pick<EvalOptions, "select" | "selection"> {
  const given = [sample && "--sample", limit && "--limit", items && "--items"].filter(Boolean);
  if (given.length > 1) throw new UsageError(`${given.join(" and ")} exclude each other`);
  if (sample) return { select: sampleOf, selection: ["--sample"] };
  if (limit !== undefined) {
    const most = positive("--limit", limit);
    return { select: (count) => range(Math.min(most, count)), selection: ["--limit", limit] };
  }
  if (items === undefined) return { select: range, selection: [] };
  const select = (count: number): number[] => {
    try {
      return parseItems(items, count);
    } catch (error) {
      throw new UsageError(`--items: ${(error as Error).message}`);
    }
  };
  return { select, selection: ["--items", items] };
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

export const helpText = (catalogue: Catalogue): string => `npm run eval -- --variant ID --task NAME [options]

Measures variants on tasks on this machine. Results are kept item by item: a run that was cut off goes on where it was.

  --variant ID[,ID…]|all   ${[...catalogue.keys()].slice(0, 3).join(", ")}, … (${catalogue.size} of them; \`all\` takes all)
  --task NAME[,NAME…]|all
${[...TASKS.values()].map(({ id, title }) => `                             ${id.padEnd(13)} ${title}`).join("\n")}
  --sample                 items 3, 13, 23, … of the task, the first 1,000 of them
  --limit N                the first N items
  --items A-B              these items; also 7, 3-9993:10 (every tenth), or several with commas between
  --engine wasm|onnx       default wasm; onnx is fp32 and far slower
  --workers N              worker threads, each with an engine of its own; default 1
  --out FILE               writes the report there and not to the standard output
  --record                 writes scores/TASK/VARIANT.json, too, or adds to what it has of the same variant
  --state FOLDER           where results are kept between runs; default .eval
  --help
`;
