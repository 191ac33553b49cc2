// Makes and measures what a paper's table lacks, by the commands that a user has. All of it goes on
// where it was stopped.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { evalFile, root } from "../../build/paths.ts";
import { formatItems, parseItems } from "../../evaluation/index.ts";
import type { Paper, Row } from "./paper.ts";
import { type Results, variantsDir } from "./results.ts";

/** @throws Error when the command fails */
function run(args: readonly string[]): Promise<void> {
  console.error(`node ${args.join(" ")}`);
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, FRANKEN_ARTIFACTS: variantsDir },
    stdio: ["ignore", "ignore", "inherit"],
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`it ended with ${code}`))));
  });
}

const isMade = (variant: string): boolean => existsSync(join(variantsDir, "recipes", `${variant}.json`));

/**
 * Makes the variants that are not there. One whose start only training makes is left out, and
 * named.
 */
export async function make(rows: readonly Row[]): Promise<void> {
  for (const { label, make } of rows) {
    for (const args of make ?? []) {
      const id = args[args.indexOf("--id") + 1] as string;
      const from = args.includes("--from") ? (args[args.indexOf("--from") + 1] as string) : undefined;
      if (isMade(id)) continue;
      if (from && !isMade(from)) {
        console.error(`left out: ${label}, which starts from ${from}: training makes that`);
        break;
      }
      await run(["bin/franken.mjs", ...args]);
    }
  }
}

/** The items that are asked for: all of a column's, or so many of them, spread. */
export function sliceOf(items: string, slice: number | undefined): number[] {
  const all = parseItems(items, Number.MAX_SAFE_INTEGER);
  if (slice === undefined || slice >= all.length) return all;
  return Array.from({ length: slice }, (_, i) => all[Math.floor((i * all.length) / slice)] as number);
}

/**
 * Measures each variant that is made on each task of the paper's columns, as far as it is not
 * recorded.
 */
export async function measure(
  { columns }: Paper,
  rows: readonly Row[],
  results: Results,
  { slice, workers }: { readonly slice: number | undefined; readonly workers: number },
): Promise<void> {
  await run(["scripts/setup.mjs"]);
  for (const column of columns) {
    if (column.kind !== "score") continue;
    for (const { variant } of rows) {
      if (!isMade(variant) && !results.planOf(variant)) continue;
      const recorded = results.scoreOf(variant, column.task)?.results;
      const missing = sliceOf(column.items, slice).filter((item) => !recorded?.has(item));
      if (missing.length === 0) continue;
      const what = ["--variant", variant, "--task", column.task, "--items", formatItems(missing)];
      await run([evalFile, ...what, "--workers", `${workers}`, "--record"]);
    }
  }
}
