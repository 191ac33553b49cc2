// `franken experiment report`: what an experiment of a running gateway says, as a table and as a picture.
import { writeFile } from "node:fs/promises";
import type { Command } from "commander";
import { UserError } from "../../formats/error.ts";
import { type Results, reportSvg, reportText } from "../../src/experiments/index.ts";
import { DEFAULT_URL, findKey, getJson } from "../gateway.ts";

interface Flags {
  readonly url: string;
  readonly key?: string;
  readonly svg?: string;
  readonly epoch?: string;
}

export function define(command: Command): void {
  command
    .command("report")
    .description("print an experiment's results, and draw how its limits closed in")
    .argument("<id>", "the experiment's id")
    .option("--url <address>", "where the gateway is", DEFAULT_URL)
    .option("--key <key>", "an API key (default: OPENAI_API_KEY, or the one that npm start made)")
    .option("--epoch <number>", "results before a change of weights, from 0 (default: the last that compares arms)")
    .option("--svg <file>", "where the picture goes (default: experiment-ID.svg)")
    .action(report);
}

async function report(id: string, { url, key, epoch, svg = `experiment-${id}.svg` }: Flags): Promise<void> {
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(id)) {
    throw new UserError(
      `${id} is no experiment's id: those have lower-case letters, digits, dots, hyphens, underscores`,
    );
  }
  if (epoch !== undefined && !/^\d{1,9}$/.test(epoch)) throw new UserError(`--epoch is ${epoch}: give a whole number`);
  const query = epoch === undefined ? "" : `?epoch=${epoch}`;
  const results = await getJson({ url, key: await findKey(key) }, `/v1/experiments/${id}/results${query}`);
  if (!isResults(results)) throw new UserError(`what answers at ${url} gives no results of experiments: check --url`);
  process.stdout.write(reportText(results));
  await writeFile(svg, reportSvg(results)).catch((error: Error) => {
    throw new UserError(`the picture cannot be written (${error.message}): choose another place with --svg`);
  });
  process.stderr.write(`confidence sequences: ${svg}\n`);
}

const isResults = (value: unknown): value is Results => {
  const { metrics, sample_ratio } = (value ?? {}) as Partial<Results>;
  return Array.isArray(metrics) && typeof sample_ratio?.exposed === "object";
};
