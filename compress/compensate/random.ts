// Normal random numbers that a seed determines.
import { mulberry32 } from "../../evaluation/random.ts";

/** Standard normal numbers: uniform ones through the Box-Muller transform. */
export function seededNormals(seed: number, count: number): Float64Array {
  const uniform = mulberry32(seed);
  const normals = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    normals[i] = radius * Math.cos(2 * Math.PI * uniform());
  }
  return normals;
}
