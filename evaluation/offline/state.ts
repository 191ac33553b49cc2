// Results kept between runs: one file a variant and task, one line an item, written as each is done. What was computed by another variant,
// engine, text or version of the task is in another file.
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256 } from "../../formats/digest.ts";
import type { ItemResult } from "../metrics.ts";

export interface Kept {
  readonly result: ItemResult;
  readonly seconds: number;
}

export interface State {
  /** By item number. */
  readonly kept: ReadonlyMap<number, Kept>;
  add(item: number, kept: Kept): void;
  close(): void;
}

export interface StateKey {
  readonly variant: string;
  readonly task: string;
  /** All that a result depends on. */
  readonly digests: readonly string[];
}

/** Opens the file, or begins it. A line that was cut off counts as not written. */
export function openState(folder: string, { variant, task, digests }: StateKey): State {
  const key = sha256(digests.join("\n")).slice(0, 16);
  const file = join(folder, task, `${variant}-${key}.jsonl`);
  mkdirSync(dirname(file), { recursive: true });
  const kept = new Map<number, Kept>();
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  for (const line of text.split("\n")) {
    const entry = parse(line);
    if (entry) kept.set(entry.item, { result: entry.result, seconds: entry.seconds });
  }
  const handle = openSync(file, "a");
  if (text !== "" && !text.endsWith("\n")) appendFileSync(handle, "\n");
  return {
    kept,
    add(item, { result, seconds }) {
      kept.set(item, { result, seconds });
      appendFileSync(handle, `${JSON.stringify({ item, seconds, result })}\n`);
    },
    close: () => closeSync(handle),
  };
}

function parse(line: string): ({ item: number } & Kept) | undefined {
  try {
    const entry = JSON.parse(line);
    return typeof entry?.item === "number" && typeof entry.result === "object" ? entry : undefined;
  } catch {
    return undefined;
  }
}
