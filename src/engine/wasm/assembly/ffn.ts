// The wide half of the MLP: gate and up projections, SwiGLU and quantization, 32 rows at a time, so that fp32 values of the width never
// leave the nearest cache.
import { multiplyQ4 } from "./q4";
import { multiplyQ8 } from "./q8";
import { quantize8, swiglu } from "./rows";

/**
 * Adds what adapters contribute to 32 rows of a projection.
 * @param jobs `count` entries of six words: address of B, its columns / 32, factor (fp32), address of the panels, first token, tokens
 */
function adapt(jobs: usize, count: i32, block: i32, rows: usize): void {
  for (let i = 0; i < count; i++) {
    const columns = load<i32>(jobs, 4);
    const stride = <usize>columns * 68;
    multiplyQ8(
      <usize>load<u32>(jobs) + <usize>(block * 4 * columns) * 272,
      4,
      columns,
      <usize>load<u32>(jobs, 12),
      stride,
      load<i32>(jobs, 20),
      rows + ((<usize>load<i32>(jobs, 16)) << 7),
      128,
      load<f32>(jobs, 8),
      true,
    );
    jobs += 24;
  }
}

/**
 * Writes blocks `first` to `first + count` (32 rows each, of `outBlocks`) of the panels that the down projection reads.
 * @param acts panels of the normalized input, `actStride` bytes apart, `blocks` blocks each
 * @param temporary 256 bytes a token
 */
export function feedForward(
  gate: usize,
  up: usize,
  first: i32,
  count: i32,
  blocks: i32,
  acts: usize,
  actStride: usize,
  tokens: i32,
  gateJobs: usize,
  gateJobCount: i32,
  upJobs: usize,
  upJobCount: i32,
  temporary: usize,
  outBlocks: i32,
  panels: usize,
  stride: usize,
): void {
  const ups = temporary + ((<usize>tokens) << 7);
  const bytes = <usize>blocks * 640;
  for (let block = first; block < first + count; block++) {
    multiplyQ4(gate + <usize>block * bytes, 4, blocks, acts, actStride, tokens, temporary, 128);
    multiplyQ4(up + <usize>block * bytes, 4, blocks, acts, actStride, tokens, ups, 128);
    adapt(gateJobs, gateJobCount, block, temporary);
    adapt(upJobs, upJobCount, block, ups);
    swiglu(temporary, ups, tokens << 5);
    for (let i = 0; i < tokens; i++) {
      quantize8(temporary + ((<usize>i) << 7), block, 1, outBlocks, panels + <usize>i * stride);
    }
  }
}
