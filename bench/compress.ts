// `npm run bench:compress`: what each method gains over the one that it is compared with, beside the figures of its paper.
import { Command } from "commander";
import { withChanges } from "../compress/apply/overlay.ts";
import { readCalibration } from "../compress/calibration.ts";
import { allSlots } from "../compress/forward/perplexity.ts";
import {
  type Changes,
  eoraModel,
  gptqModel,
  magnitudeModel,
  narrowModel,
  roundModel,
  wandaModel,
} from "../compress/methods/models.ts";
import { openCheckpoint } from "../compress/open.ts";
import { compare } from "../evaluation/compare.ts";
import { aggregate, type Metric, type MetricRule } from "../evaluation/metrics.ts";
import { EORA_3, FLAP_20, GPTQ_4, type PaperFigures, WANDA_2_4 } from "./compress/papers.ts";
import { pageResults, readPages } from "./compress/perplexity.ts";
import { positive } from "./options.ts";
import { table } from "./table.ts";

const program = new Command("bench:compress")
  .option("--sequences <n>", "calibration sequences", positive, 128)
  .option("--length <n>", "tokens of each", positive, 512)
  .option("--pages <n>", "of the held-out text that perplexity is measured on", positive, 46)
  .option("--only <list>", "comparisons, with commas between: gptq, eora, flap, wanda")
  .parse();
const {
  sequences,
  length,
  pages: count,
  only,
} = program.opts<{ sequences: number; length: number; pages: number; only?: string }>();

const checkpoint = await openCheckpoint("smollm2-135m");
const { tokens } = await readCalibration(checkpoint, { sequences, length });
const metadata = checkpoint.tokenizer.kind === "gguf" ? checkpoint.tokenizer.metadata : {};
const pages = await readPages(checkpoint, count, Number(metadata["tokenizer.ggml.bos_token_id"]));
const subject = { checkpoint, slots: allSlots(checkpoint) };
const calibrated = { ...subject, tokens };

const four = { bits: 4, kind: "asymmetric", block: 64, part: "linears" } as const;
const three = { ...four, bits: 3 } as const;
const structure = { ranking: "global", sparsity: 0.2, attention: true } as const;

interface Comparison {
  readonly id: string;
  readonly method: string;
  readonly against: string;
  readonly paper: PaperFigures;
  baseline(): Promise<Changes>;
  /** @param baseline from which the method may go on */
  run(baseline: Changes): Promise<Changes>;
}

const COMPARISONS: readonly Comparison[] = [
  {
    id: "gptq",
    method: "GPTQ, 4 bits, block 64",
    against: "round-to-nearest",
    paper: GPTQ_4,
    baseline: () => roundModel(subject, four),
    run: () => gptqModel(calibrated, four),
  },
  {
    id: "eora",
    method: "GPTQ, 3 bits, block 64, and EoRA of rank 32",
    against: "GPTQ, 3 bits, block 64",
    paper: EORA_3,
    baseline: () => gptqModel(calibrated, three),
    async run(quantized) {
      const compressed = { ...calibrated, checkpoint: withChanges(checkpoint, quantized.tensors) };
      const { lowRank } = await eoraModel(compressed, checkpoint, { rank: 32, seed: 1 });
      return { ...quantized, lowRank };
    },
  },
  {
    id: "flap",
    method: "FLAP, 20 % of the layers' weights",
    against: "magnitude",
    paper: FLAP_20,
    baseline: () => narrowModel(calibrated, { ...structure, score: "magnitude", bias: false }),
    run: () => narrowModel(calibrated, { ...structure, score: "flap", bias: true }),
  },
  {
    id: "wanda",
    method: "Wanda, 2:4",
    against: "magnitude",
    paper: WANDA_2_4,
    baseline: () => magnitudeModel(subject, { keep: 2, of: 4 }),
    run: () => wandaModel(calibrated, { keep: 2, of: 4 }),
  },
];

const wanted = only?.split(",") ?? COMPARISONS.map(({ id }) => id);
const unknown = wanted.find((id) => !COMPARISONS.some((comparison) => comparison.id === id));
if (unknown !== undefined) program.error(`--only ${unknown}: there are ${COMPARISONS.map(({ id }) => id).join(", ")}`);

/** The logarithm of word perplexity: its differences have a usable standard error where a perplexity is in the thousands. */
const rule: MetricRule = { name: "bits", kind: "bits", of: "logLikelihood", over: "words", higherIsBetter: false };
const words = pages.reduce((sum, page) => sum + page.words, 0);
process.stdout.write(
  `smollm2-135m in fp32 arithmetic, word perplexity of ${pages.length} held-out articles (${words} words), calibrated on ${sequences} x ${length} tokens\n`,
);
const unpruned = await pageResults(checkpoint, { tensors: [] }, pages);
const base = 2 ** (aggregate([...unpruned.values()], [rule]).bits as Metric).value;
process.stdout.write(`unpruned: ${base.toFixed(2)}\n\n`);

const digits = (value: number): string => (value < 1e5 ? value.toFixed(2) : value.toExponential(1));
const times = (value: number, of: number): string => `${(value / of).toPrecision(3)} x`;
async function timed(make: () => Promise<Changes>): Promise<{ changes: Changes; took: string }> {
  const [from, before] = [performance.now(), process.cpuUsage()];
  const changes = await make();
  const { user, system } = process.cpuUsage(before);
  return {
    changes,
    took: `${Math.round((performance.now() - from) / 1000)} s (${Math.round((user + system) / 1e6)} s of CPU time)`,
  };
}

const rows: string[][] = [];
for (const { id, method, against, paper, baseline, run } of COMPARISONS) {
  if (!wanted.includes(id)) continue;
  const theirs = await timed(baseline);
  const ours = await timed(() => run(theirs.changes));
  const [b, m] = [
    await pageResults(checkpoint, theirs.changes, pages),
    await pageResults(checkpoint, ours.changes, pages),
  ];
  const { first, second, difference, stderr } = compare(b, m, rule);
  const { source, model, unpruned: whole } = paper;
  const gain = `${difference.toFixed(3)} ± ${stderr.toFixed(3)}`;
  const figures = [second, first].flatMap((bits) => [digits(2 ** bits), times(2 ** bits, base)]);
  const row = [method, against, ...figures, gain];
  rows.push([...row, times(paper.method, whole), times(paper.baseline, whole), `${source}: ${model}`]);
  process.stderr.write(`${row.join("  ")}; made in ${ours.took}, the other in ${theirs.took}\n`);
  // Two standard errors: 1 chance in 40 that it only seems better.
  if (!(difference < -2 * stderr)) {
    process.stdout.write(`${method} is not shown to be better than ${against}\n`);
    process.exitCode = 1;
  }
}
const head = ["method", "against", "method's", "to unpruned", "the other's", "to unpruned", "bits a word ± std. error"];
process.stdout.write(`${table([...head, "paper's method", "paper's other", "paper"], rows)}\n`);
process.stdout.write(`most memory held: ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(2)} GiB\n`);
await checkpoint.close();
