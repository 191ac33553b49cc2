// What a method hands on: which tensors it changed, and where that came from. compress/store.ts writes it.
import type { LowRankAdapter } from "../formats/peft/write.ts";
import type { SlotRecipe } from "../src/variants/index.ts";

/** A tensor that replaces the base's of the same name, or is new (a bias). */
export interface ChangedTensor {
  readonly name: string;
  /** What the engines compute with. `q4_1` also carries codes of fewer bits. */
  readonly type: "f32" | "q4_1" | "q8_0";
  readonly rows: number;
  readonly cols: number;
  /** GGUF blocks of that type, row-major, q and k rows in Hugging Face's order. */
  readonly data: Uint8Array;
  /** Bits a weight as a method counts them (codes, scales and minima), where the container is wider. */
  readonly bits?: number | undefined;
}

/** How a variant was made: the same command gives the same bytes. */
export interface Provenance {
  readonly method: string;
  readonly arguments: Readonly<Record<string, string | number | boolean>>;
  /** Digest of the checkpoint that it was made from. */
  readonly checkpoint: string;
  /** sha256 of the calibration tokens; absent where a method needs none. */
  readonly calibration?: string | undefined;
  readonly seed?: number | undefined;
  /** Version of the toolkit's arithmetic. */
  readonly version: string;
}

export interface Artifact {
  /** Without `tensors`, `provenance` and, where `adapter` is given, `adapter`: the store fills them in. */
  readonly recipe: SlotRecipe;
  readonly tensors: readonly ChangedTensor[];
  readonly adapter?: LowRankAdapter | undefined;
  readonly provenance: Provenance;
}
