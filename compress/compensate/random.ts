// Random numbers that a seed determines.

/** Standard normal numbers: mulberry32 (public domain, T. Ettinger) through the Box-Muller transform. */
export function seededNormals(seed: number, count: number): Float64Array {
  let state = seed | 0;
  const uniform = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normals = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform()));
    normals[i] = radius * Math.cos(2 * Math.PI * uniform());
  }
  return normals;
}
