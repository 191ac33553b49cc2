// Packs the items that the service measures by itself into one file for the gateway's bundle.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import { SOURCES, sampleOf, TASKS } from "../../src/scores/index.ts";
import type { SamplesFile } from "../../src/scores/monitor/samples.ts";
import { MONITORED } from "../../src/scores/monitor/tasks.ts";
import { root } from "./paths.ts";

/** Texts with fewer items are measured whole. */
const LARGE = 1000;

/** @throws Error that names the data file that is missing or damaged */
export async function packSamples(): Promise<{ packed: Uint8Array; items: number }> {
  const file: Record<string, SamplesFile[string]> = {};
  for (const { id } of MONITORED) {
    const task = TASKS.get(id);
    if (!task) throw new Error(`${id} is not a task: tasks are ${[...TASKS.keys()].join(", ")}`);
    const { file: path, sha256 } = SOURCES[task.source];
    const text = await readFile(join(root, path))
      .then((bytes) => promisify(gunzip)(bytes))
      .catch((error: Error) => {
        throw new Error(
          `${path} cannot be read: ${error.message}. Take it from the repository again: git checkout ${path}`,
        );
      });
    if (createHash("sha256").update(text).digest("hex") !== sha256) {
      throw new Error(
        `${path} is damaged: its text does not have the digest ${sha256}. Restore it: git checkout ${path}`,
      );
    }
    const lines = text.toString("utf8").split("\n").filter(Boolean);
    const items = lines.length > LARGE ? sampleOf(lines.length) : [...lines.keys()];
    file[id] = { dataDigest: sha256, items, lines: items.map((item) => lines[item] as string) };
  }
  const packed = await promisify(gzip)(JSON.stringify(file), { level: 9 });
  return { packed, items: Object.values(file).reduce((sum, { items }) => sum + items.length, 0) };
}
