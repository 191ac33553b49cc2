// What calibration leaves of the inputs of a layer's linears: enough for Wanda, FLAP, GPTQ and EoRA.

/** Linears of a layer that share an input: q, k and v; o; gate and up; down. */
export const INPUTS = ["qkv", "o", "gateUp", "down"] as const;
export type Input = (typeof INPUTS)[number];

/** Sums over calibration tokens of a linear's input x `[cols]`. */
export interface Moments {
  readonly tokens: number;
  readonly cols: number;
  /** Sum of x, `[cols]`. */
  readonly sum: Float64Array;
  /** Sum of x squared, `[cols]`. */
  readonly squares: Float64Array;
  /** Sum of x x^T, `[cols, cols]`, symmetric; absent where it was not asked for. */
  readonly gram?: Float32Array | undefined;
}
