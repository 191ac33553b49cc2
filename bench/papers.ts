// `npm run bench:papers`: the source papers' tables with our figures beside theirs. Prints what is
// recorded; makes and measures what is not there when asked to.
import { Command, Option } from "commander";
import { positive } from "./options.ts";
import { PAPERS } from "./papers/index.ts";
import { make, measure } from "./papers/measure.ts";
import { readResults } from "./papers/results.ts";
import { cellsOf } from "./papers/tables.ts";
import { table } from "./table.ts";

interface Options {
  readonly paper?: string;
  readonly only?: string;
  readonly make?: true;
  readonly measure?: true;
  readonly slice?: number;
  readonly workers: number;
}

const options = new Command("bench:papers")
  .addOption(new Option("--paper <id>", "one of them; default all").choices([...PAPERS.keys()]))
  .option("--only <text>", "of the rows those whose label has this text, and the base")
  .option("--make", "make the variants that are not there, under bench/papers/variants")
  .option("--measure", "measure what is not recorded, and record it")
  .option("--slice <n>", "of each task so many items only, spread", positive)
  .option("--workers <n>", "worker threads", positive, 1)
  .addHelpText("after", "\n`npm run readme` writes docs/papers.md of what is recorded.")
  .parse()
  .opts<Options>();

for (const paper of PAPERS.values()) {
  if (options.paper && paper.id !== options.paper) continue;
  const rows = paper.rows.filter(({ label }, i) => i === 0 || label.includes(options.only ?? ""));
  if (options.make) await make(rows);
  if (options.measure)
    await measure(paper, rows, await readResults(), { slice: options.slice, workers: options.workers });
  const [header = [], ...cells] = cellsOf({ ...paper, rows }, await readResults());
  console.log(`${paper.title} (${paper.source})\n\n${table(header, cells)}\n`);
}
