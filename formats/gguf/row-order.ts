// GGUF stores a head's q and k rows as pairs (0, d/2), (1, d/2+1), … for interleaved RoPE; Hugging Face's order is 0 … d-1.
// (llama.cpp, convert_hf_to_gguf.py, `LlamaModel.permute`.)

/** Whether a tensor's rows are in an order of GGUF's own. */
export const isRotated = (name: string): boolean => /\.attn_[qk]\.weight$/.test(name);

/** Puts rows from GGUF's order into Hugging Face's. */
export const huggingFaceRows = (data: Uint8Array, rows: number, headDim: number): Uint8Array =>
  reorder(data, rows, headDim, (half, row) => (row < half ? 2 * row : 2 * (row - half) + 1));

/** Puts rows from Hugging Face's order into GGUF's. */
export const ggufRows = (data: Uint8Array, rows: number, headDim: number): Uint8Array =>
  reorder(data, rows, headDim, (half, row) => (row % 2 === 0 ? row / 2 : half + (row - 1) / 2));

function reorder(
  data: Uint8Array,
  rows: number,
  headDim: number,
  source: (half: number, row: number) => number,
): Uint8Array {
  const rowBytes = data.length / rows;
  const ordered = new Uint8Array(data.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim;
    const from = row - inHead + source(headDim / 2, inHead);
    ordered.set(data.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return ordered;
}
