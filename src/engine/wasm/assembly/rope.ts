// Rotary position embedding, halves rotated against each other as Hugging Face stores the rows (Su et al., "RoFormer", arXiv 2104.09864).
import { storeCosSin } from "./math";

/**
 * Cosines, then sines, of one position. The angle is rounded to fp32 as the reference implementation does.
 * @param frequencies fp32, `half` of them
 */
export function angles(position: i32, frequencies: usize, half: i32, to: usize): void {
  const sines = to + ((<usize>half) << 2);
  for (let i: usize = 0; i < (<usize>half) << 2; i += 4) {
    const angle: f32 = load<f32>(frequencies + i) * <f32>position;
    storeCosSin(<f64>angle, to + i, sines + i);
  }
}

/** Rotates one head of 2 * `half` fp32 values (`half` is a multiple of 4). */
export function rotate(head: usize, half: i32, table: usize): void {
  const bytes = (<usize>half) << 2;
  for (let i: usize = 0; i < bytes; i += 16) {
    const cos = v128.load(table + i);
    const sin = v128.load(table + bytes + i);
    const a = v128.load(head + i);
    const b = v128.load(head + bytes + i);
    v128.store(head + i, f32x4.sub(f32x4.mul(a, cos), f32x4.mul(b, sin)));
    v128.store(head + bytes + i, f32x4.add(f32x4.mul(b, cos), f32x4.mul(a, sin)));
  }
}
