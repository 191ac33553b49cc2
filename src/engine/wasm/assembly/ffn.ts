// The wide half of the MLP: gate and up projections, SwiGLU and quantization, some rows at a time, so that fp32 values of the width never
// leave the nearest caches.
import { panelBytes16, quantize8 } from "./panel";
import { multiplyQ4 } from "./q4";
import { multiplyQ8 } from "./q8";
import { swiglu } from "./rows";

/**
 * Adds what adapters contribute to some rows of a projection.
 * @param jobs `count` entries of six words: address of B, its columns / 32, factor (fp32), address of the panels, first token, tokens
 */
function adapt(jobs: usize, count: i32, firstGroup: i32, groups: i32, out: usize, stride: usize): void {
  for (let i = 0; i < count; i++) {
    const columns = load<i32>(jobs, 4);
    multiplyQ8(
      <usize>load<u32>(jobs) + <usize>(firstGroup * columns) * 272, groups, columns,
      <usize>load<u32>(jobs, 12), load<i32>(jobs, 20), out + <usize>load<i32>(jobs, 16) * stride, stride,
      load<f32>(jobs, 8), true,
    );
    jobs += 24;
  }
}

/**
 * Some rows of a projection at the bits that it has.
 * @param panels8 what a projection of 4 bits reads
 * @param panels16 what one of 8 bits reads; 0 for one of 4
 */
function project(
  weights: usize, firstGroup: i32, groups: i32, blocks: i32, panels8: usize, panels16: usize, tokens: i32,
  out: usize, stride: usize, unpacked: usize,
): void {
  const first = <usize>(firstGroup * blocks);
  if (panels16) multiplyQ8(weights + first * 272, groups, blocks, panels16, tokens, out, stride, 1, false);
  else multiplyQ4(weights + first * 160, groups, blocks, panels8, tokens, out, stride, unpacked);
}

/**
 * Writes blocks `first` to `first + count` (32 rows each, of `outBlocks`) of the panels that the down projection reads.
 * @param panels of the normalized input at 8 bits, `blocks` blocks each
 * @param gatePanels the same at 16 bits where gate has 8 bits, else 0
 * @param upPanels the same for up
 * @param span blocks that go together
 * @param temporary 256 bytes for each token and block of a span
 */
export function feedForward(
  gate: usize, up: usize, first: i32, count: i32, blocks: i32, panels: usize, tokens: i32,
  gateJobs: usize, gateJobCount: i32, upJobs: usize, upJobCount: i32,
  span: i32, temporary: usize, unpacked: usize, outBlocks: i32, outPanels: usize, gatePanels: usize, upPanels: usize,
): void {
  const last = first + count;
  for (let block = first; block < last; block += span) {
    const some = min(span, last - block);
    const stride = <usize>some << 7;
    const ups = temporary + <usize>tokens * stride;
    project(gate, block << 2, some << 2, blocks, panels, gatePanels, tokens, temporary, stride, unpacked);
    project(up, block << 2, some << 2, blocks, panels, upPanels, tokens, ups, stride, unpacked);
    adapt(gateJobs, gateJobCount, block << 2, some << 2, temporary, stride);
    adapt(upJobs, upJobCount, block << 2, some << 2, ups, stride);
    swiglu(temporary, ups, (tokens * some) << 5);
    for (let i = 0; i < tokens; i++) {
      quantize8(temporary + <usize>i * stride, block, some, outBlocks, outPanels, i, tokens);
    }
  }
}
