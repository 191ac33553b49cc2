// Which of some variants are worth having: those that no other beats in both cost and loss.

export interface Point {
  /** Lower is better. */
  readonly cost: number;
  /** Lower is better. */
  readonly loss: number;
}

/** Points that no other is at least as good as in both and better in one, from the cheapest on; of equal points, the first. */
export function frontier<T extends Point>(points: readonly T[]): T[] {
  const sorted = points.toSorted((a, b) => a.cost - b.cost || a.loss - b.loss);
  const kept: T[] = [];
  for (const point of sorted) {
    const best = kept.at(-1);
    if (!best || point.loss < best.loss) kept.push(point);
  }
  return kept;
}
