// What the parts of the toolkit hand each other: a LLaMA checkpoint of any size, whose tensors are read when they are wanted.
import type { RopeScaling } from "../src/variants/index.ts";

/** fp32, row-major `[rows, cols]`: rows are output features, columns input features; a norm or a bias has one row. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly values: Float32Array;
}

/** One decoder layer. 0 heads: it has no attention; an `ffn` of 0: it has no MLP. */
export interface LayerShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly ffn: number;
}

export interface ModelShape {
  readonly hidden: number;
  readonly headDim: number;
  readonly vocab: number;
  readonly contextLength: number;
  readonly ropeTheta: number;
  readonly ropeScaling: RopeScaling | undefined;
  readonly rmsEps: number;
  readonly layers: readonly LayerShape[];
}

/** As a checkpoint stores it. */
export type StoredType = "f32" | "f16" | "bf16" | "q8_0" | "q4_0" | "q4_1" | "q4_k" | "q6_k";

export interface StoredTensor {
  readonly name: string;
  readonly type: StoredType;
  readonly rows: number;
  readonly cols: number;
}

/** A checkpoint's tokenizer: GGUF's `tokenizer.*` metadata, or the files of a Hugging Face folder by name. */
export type TokenizerSource =
  | { readonly kind: "gguf"; readonly metadata: Readonly<Record<string, unknown>> }
  | { readonly kind: "files"; readonly files: ReadonlyMap<string, Uint8Array> };

export interface Checkpoint {
  /** For messages and provenance: what the user called it. */
  readonly name: string;
  /** sha256 over shape, and names, types and stored bytes of all tensors. */
  readonly digest: string;
  readonly shape: ModelShape;
  /**
   * By GGUF's names, as src/variants/plan.ts has them: `token_embd.weight`, `output.weight` (absent: the head is the embedding),
   * `output_norm.weight`, `blk.N.attn_norm.weight`, …; and, of models with compensated pruning, `blk.N.attn_output.bias` and
   * `blk.N.ffn_down.bias`.
   */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly tokenizer: TokenizerSource;
  /**
   * A tensor in fp32. q and k rows are in Hugging Face's order (rotate-half), not GGUF's.
   * @throws UserError naming the tensor and the file when it is not there or truncated
   */
  read(name: string): Promise<Matrix>;
  /** Its bytes as stored, blocks row-major, rows in the same order as `read` gives them. */
  readStored(name: string): Promise<Uint8Array>;
  close(): Promise<void>;
}
