// Packs the items that the service measures by itself into one file for the gateway's bundle.
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { root } from "../../build/paths.ts";
import type { SamplesFile } from "../../src/monitor/index.ts";
import { MONITORED } from "../../src/monitor/index.ts";
import { SOURCES, sampleOf, TASKS } from "../index.ts";
import { readShipped } from "./texts.ts";

/** Texts with fewer items are not sampled. */
const LARGE = 1000;
/** Longer documents would take a slice more than some seconds. HellaSwag has none. */
const MAX_CHARACTERS = 2000;

/** @throws Error that names the data file that is missing or damaged */
export async function packSamples(): Promise<{ packed: Uint8Array; items: number }> {
  const file: Record<string, SamplesFile[string]> = {};
  for (const { id } of MONITORED) {
    const task = TASKS.get(id);
    if (!task) throw new Error(`${id} is not a task: tasks are ${[...TASKS.keys()].join(", ")}`);
    const source = SOURCES[task.source];
    const text = Buffer.from(await readShipped(source, root)).toString("utf8");
    const lines = text.split("\n").filter(Boolean);
    const numbers = lines.length > LARGE ? sampleOf(lines.length) : [...lines.keys()];
    const items = numbers.filter((item) => (lines[item]?.length ?? 0) <= MAX_CHARACTERS);
    file[id] = { dataDigest: source.sha256, items, lines: items.map((item) => lines[item] as string) };
  }
  const packed = await promisify(gzip)(JSON.stringify(file), { level: 9 });
  return { packed, items: Object.values(file).reduce((sum, { items }) => sum + items.length, 0) };
}
