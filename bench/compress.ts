// `npm run bench:compress`: what each method gains over the one that it is compared with, beside the figures of its paper.
import { Command } from "commander";
import { positive } from "../cli/calibration-options.ts";
import { withChanges } from "../compress/apply/overlay.ts";
import { readCalibration } from "../compress/calibration.ts";
import { openCheckpoint } from "../compress/formats/index.ts";
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
import { EORA_3, FLAP_20, GPTQ_4, type PaperFigures, WANDA_2_4 } from "./compress/papers.ts";
import { readPages, wordPerplexity } from "./compress/perplexity.ts";
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
  readonly baseline: string;
  readonly paper: PaperFigures;
  /** The baseline first: the method may go on from it. */
  run(): Promise<readonly [baseline: Changes, method: Changes]>;
}

const COMPARISONS: readonly Comparison[] = [
  {
    id: "gptq",
    method: "GPTQ, 4 bits, block 64",
    baseline: "round-to-nearest",
    paper: GPTQ_4,
    run: async () => [await roundModel(subject, four), await gptqModel(calibrated, four)],
  },
  {
    id: "eora",
    method: "GPTQ, 3 bits, block 64, and EoRA of rank 32",
    baseline: "GPTQ, 3 bits, block 64",
    paper: EORA_3,
    async run() {
      const quantized = await gptqModel(calibrated, three);
      const compressed = { ...calibrated, checkpoint: withChanges(checkpoint, quantized.tensors) };
      const { lowRank } = await eoraModel(compressed, checkpoint, { rank: 32, seed: 1 });
      return [quantized, { ...quantized, lowRank }];
    },
  },
  {
    id: "flap",
    method: "FLAP, 20 % of the layers' weights",
    baseline: "magnitude",
    paper: FLAP_20,
    run: async () => [
      await narrowModel(calibrated, { ...structure, score: "magnitude", bias: false }),
      await narrowModel(calibrated, { ...structure, score: "flap", bias: true }),
    ],
  },
  {
    id: "wanda",
    method: "Wanda, 2:4",
    baseline: "magnitude",
    paper: WANDA_2_4,
    run: async () => [
      await magnitudeModel(subject, { keep: 2, of: 4 }),
      await wandaModel(calibrated, { keep: 2, of: 4 }),
    ],
  },
];

const wanted = only?.split(",") ?? COMPARISONS.map(({ id }) => id);
const unknown = wanted.find((id) => !COMPARISONS.some((comparison) => comparison.id === id));
if (unknown !== undefined) program.error(`--only ${unknown}: there are ${COMPARISONS.map(({ id }) => id).join(", ")}`);

process.stdout.write(
  `smollm2-135m in fp32 arithmetic, word perplexity of ${count} held-out articles (${pages.words} words), calibrated on ${sequences} x ${length} tokens\n`,
);
const base = await wordPerplexity(checkpoint, { tensors: [] }, pages);
process.stdout.write(`unpruned: ${base.toFixed(2)}\n\n`);

const times = (value: number, of: number): string => `${(value / of).toPrecision(3)} x`;
const rows: string[][] = [];
for (const { id, method, baseline, paper, run } of COMPARISONS) {
  if (!wanted.includes(id)) continue;
  const before = process.cpuUsage();
  const [theirs, ours] = await run();
  const { user } = process.cpuUsage(before);
  const [b, m] = [await wordPerplexity(checkpoint, theirs, pages), await wordPerplexity(checkpoint, ours, pages)];
  const row = [method, baseline, m.toFixed(2), times(m, base), b.toFixed(2), times(b, base)];
  const { source, model, unpruned } = paper;
  rows.push([...row, times(paper.method, unpruned), times(paper.baseline, unpruned), `${source}: ${model}`]);
  process.stderr.write(`${row.join("  ")}  (made in ${(user / 1e6).toFixed(0)} s of user CPU time)\n`);
  if (!(m < b)) {
    process.stdout.write(`${method} is not better than ${baseline}\n`);
    process.exitCode = 1;
  }
}
process.stdout.write(
  `${table(["method", "against", "method's", "to unpruned", "the other's", "to unpruned", "paper's method", "paper's other", "paper"], rows)}\n`,
);
await checkpoint.close();
