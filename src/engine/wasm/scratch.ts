// Addresses of what lives between two products: a fixed region of the memory, sized once from the base's shapes.
import { MAX_RANK } from "../../variants/index.ts";
import { MAX_LIKELIEST } from "../types.ts";
import type { Memory } from "./memory.ts";
import { PAGE_TOKENS, panel8Bytes, panel16Bytes, type Shapes } from "./shapes.ts";

/** Tokens that `Scratch.widened` has room for: as many go through a product with an adapter or 8-bit weights at a time. */
export const WIDENED_TOKENS = 8;
/** Bytes of an entry of the job table that `feedForward` reads. */
export const JOB_BYTES = 24;
/** Blocks of the MLP that go together when there is one token. */
export const GATE_UP_BLOCKS = 96;
/** Most tokens that `topK` lists. */
export const MAX_TOP = 64;
/** Bytes of a row of `Scratch.likelihoods`. */
export const LIKELIHOOD_BYTES = 16 + 8 * MAX_LIKELIEST;

export interface Scratch {
  /** Residual stream, fp32 `[rows, hidden]`. */
  readonly residual: number;
  /** Addresses of the rows of `residual` that a group of entries works on. */
  readonly rows: number;
  /** Cosines and sines of each row's position, fp32 `[rows, headDim]`. */
  readonly angles: number;
  /** RoPE's frequencies, fp32 `[headDim / 2]`. */
  readonly frequencies: number;
  /** One fp32 row. */
  readonly row: number;
  /** Activations that a product reads, 8 or 16 bits. */
  readonly input: number;
  /** Activations inside the MLP, 8 bits. */
  readonly inner: number;
  /** q, k and v, or what a sublayer adds to the residual stream: fp32 rows. Before, the input of an 8-bit gate and up in 16-bit panels. */
  readonly wide: number;
  /** Gate and up rows of a span of the MLP: `GATE_UP_BLOCKS` times 32 rows of one token, or fewer of more tokens. */
  readonly gateUp: number;
  /** Unpacked weights of eight rows. */
  readonly unpacked: number;
  /** Page addresses of one sequence and slot. */
  readonly pages: number;
  readonly attention: number;
  /** fp32 logits: all of one row, or a slice of the vocabulary of several. */
  readonly logits: number;
  /** The input of a linear in 16-bit panels, `WIDENED_TOKENS` rows. */
  readonly widened: number;
  readonly adapter: {
    /** A x in fp32, `WIDENED_TOKENS` rows. */
    readonly low: number;
    /** A x at 16 bits, all rows, for two linears at a time. */
    readonly panels: readonly [number, number];
    readonly jobs: readonly [number, number];
  };
  readonly top: number;
  /** Likelihoods of each row: largest logit, the target's logit, fp64 sum of exponentials, then the likeliest. */
  readonly likelihoods: number;
}

/** Bytes of each region. */
function sizes(shapes: Shapes, rows: number) {
  const { hidden, ffn, vocab, headDim, qWidth, kvWidth, kvHeads, group, contextLength } = shapes;
  const widest = Math.max(hidden, qWidth);
  return {
    residual: rows * hidden * 4,
    rows: rows * 4,
    angles: rows * headDim * 4,
    frequencies: headDim * 2,
    row: Math.max(widest, MAX_RANK) * 4,
    input: rows * Math.max(panel8Bytes(widest), panel16Bytes(hidden)),
    inner: rows * panel8Bytes(ffn),
    wide: rows * Math.max(qWidth + 2 * kvWidth, hidden) * 4,
    gateUp: Math.max(rows, GATE_UP_BLOCKS) * 256,
    unpacked: Math.max(widest, ffn) * 10,
    pages: kvHeads * Math.ceil(contextLength / PAGE_TOKENS) * 4,
    // `attend` in assembly/attention.ts says what it needs.
    attention: group * (2 * headDim + 4 * (contextLength + PAGE_TOKENS) + 2 * PAGE_TOKENS + 8),
    logits: Math.ceil(vocab / 8) * 32,
    widened: WIDENED_TOKENS * panel16Bytes(Math.max(widest, ffn)),
    adapterLow: WIDENED_TOKENS * MAX_RANK * 4,
    adapterPanels: 2 * rows * panel16Bytes(MAX_RANK),
    adapterJobs: 2 * rows * JOB_BYTES,
    top: MAX_TOP * 8,
    likelihoods: rows * LIKELIHOOD_BYTES,
  };
}

const ALIGN = 64;

/** Bytes that `layScratch` takes at most. */
export const scratchBytes = (shapes: Shapes, rows: number): number =>
  Object.values(sizes(shapes, rows)).reduce((sum, size) => sum + size + ALIGN, 0);

export function layScratch(memory: Memory, shapes: Shapes, rows: number): Scratch {
  const size = sizes(shapes, rows);
  const panels = memory.fixed(size.adapterPanels);
  const jobs = memory.fixed(size.adapterJobs);
  return {
    residual: memory.fixed(size.residual),
    rows: memory.fixed(size.rows),
    angles: memory.fixed(size.angles),
    frequencies: memory.fixed(size.frequencies),
    row: memory.fixed(size.row),
    input: memory.fixed(size.input),
    inner: memory.fixed(size.inner),
    wide: memory.fixed(size.wide),
    gateUp: memory.fixed(size.gateUp),
    unpacked: memory.fixed(size.unpacked),
    pages: memory.fixed(size.pages),
    attention: memory.fixed(size.attention),
    logits: memory.fixed(size.logits),
    widened: memory.fixed(size.widened),
    adapter: {
      low: memory.fixed(size.adapterLow),
      panels: [panels, panels + size.adapterPanels / 2],
      jobs: [jobs, jobs + size.adapterJobs / 2],
    },
    top: memory.fixed(size.top),
    likelihoods: memory.fixed(size.likelihoods),
  };
}
