// Which weights of a matrix become 0: unstructured and N:M masks by magnitude or by Wanda's score.
import type { Matrix } from "../../formats/checkpoint.ts";
import { UserError } from "../../formats/error.ts";

/**
 * N:M, of every M neighbours along a row the N of highest score stay, as the literature has it (Wanda: Sun et al., arXiv 2306.11695), or a
 * share of each row becomes 0. Wanda's own code counts the zeros (lib/prune.py), but has only 2:4 and 4:8, where that is the same.
 */
export type MaskPattern = { readonly keep: number; readonly of: number } | { readonly sparsity: number };

/** @throws UserError for what is neither `N:M` nor a share between 0 and 1 */
export function parsePattern(text: string): MaskPattern {
  const match = /^(\d+):(\d+)$/.exec(text);
  if (match) {
    const [keep, of] = [Number(match[1]), Number(match[2])];
    if (keep < 1 || keep >= of)
      throw new UserError(`--pattern ${text}: N:M needs 1 <= N < M: N of every M weights stay, M - N become 0`);
    return { keep, of };
  }
  const sparsity = Number(text);
  if (!(sparsity > 0 && sparsity < 1)) {
    throw new UserError(`--pattern ${text}: give N:M, as 2:4, or the share of weights that become 0, as 0.5`);
  }
  return { sparsity };
}

/**
 * |W| times the norm of its input over all calibration tokens (arXiv 2306.11695, equation 1); without `squares` |W| alone.
 * @param squares sum of x squared, `[cols]`
 */
export function weightScores({ rows, cols, values }: Matrix, squares: Float64Array | undefined): Float32Array {
  const scores = new Float32Array(rows * cols);
  const norms = squares && Float64Array.from(squares, Math.sqrt);
  for (let i = 0; i < scores.length; i++) scores[i] = Math.abs(values[i] as number) * (norms?.[i % cols] ?? 1);
  return scores;
}

/**
 * The matrix with its lowest scores set to 0: within every M neighbours, or, unstructured, within each row.
 * @throws UserError when M does not divide the columns
 */
export function maskLowest(matrix: Matrix, scores: Float32Array, pattern: MaskPattern, name: string): Matrix {
  const { rows, cols } = matrix;
  const values = Float32Array.from(matrix.values);
  const of = "of" in pattern ? pattern.of : cols;
  if (cols % of > 0)
    throw new UserError(`${name} has ${cols} columns, which ${of} does not divide: choose another N:M`);
  const zeros = "of" in pattern ? pattern.of - pattern.keep : Math.floor(pattern.sparsity * cols);
  const order = new Uint32Array(of);
  for (let start = 0; start < rows * cols; start += of) {
    for (let i = 0; i < of; i++) order[i] = start + i;
    // Of equal scores the later ones go first, as weights that are 0 already may be anywhere.
    order.sort((a, b) => (scores[a] as number) - (scores[b] as number) || b - a);
    for (let i = 0; i < zeros; i++) values[order[i] as number] = 0;
  }
  return { rows, cols, values };
}
