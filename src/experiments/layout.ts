// Which part of the units belongs to which arm. The line of all units is cut into segments; when weights change, an arm that shrinks gives
// away the ends of its segments and nothing else moves. So exactly the least possible share of units changes its arm: half the sum of
// the weights' absolute changes.

/** The line has this many places: weights are exact to a millionth. */
export const PLACES = 1_000_000;

/** Places from `from` up to, not including, `to`. */
export interface Segment {
  readonly arm: string;
  readonly from: number;
  readonly to: number;
}

/** Segments in order, without gaps, from 0 to `PLACES`. */
export type Layout = readonly Segment[];

export interface Weight {
  readonly name: string;
  /** Share of the units, from 0 to 1; all arms' weights sum to 1. */
  readonly weight: number;
}

const sizeOf = ({ from, to }: Segment): number => to - from;

/** Whole places by arm, by largest remainder, so that they sum to `PLACES`. */
function placesOf(weights: readonly Weight[]): Map<string, number> {
  const places = new Map(weights.map(({ name, weight }) => [name, Math.floor(weight * PLACES)]));
  const byRemainder = weights
    .map(({ name, weight }) => ({ name, remainder: weight * PLACES - Math.floor(weight * PLACES) }))
    .sort((a, b) => b.remainder - a.remainder);
  let missing = PLACES - [...places.values()].reduce((sum, count) => sum + count, 0);
  for (const { name } of byRemainder) {
    if (missing <= 0) break;
    places.set(name, places.get(name)! + 1);
    missing--;
  }
  return places;
}

/**
 * The layout of an experiment's next epoch.
 *
 * @param previous the layout of the epoch before; none for the first
 * @throws RangeError for weights that do not sum to 1
 */
export function layoutOf(weights: readonly Weight[], previous?: Layout): Layout {
  const sum = weights.reduce((total, { weight }) => total + weight, 0);
  if (!(Math.abs(sum - 1) < 1e-6) || weights.some(({ weight }) => weight < 0)) {
    throw new RangeError(`The weights sum to ${sum}: they must be 0 or more and sum to 1.`);
  }
  const wanted = placesOf(weights);
  const kept: Segment[] = [];
  const free: Segment[] = [];
  for (const segment of previous ?? [{ arm: "", from: 0, to: PLACES }]) {
    const size = Math.min(sizeOf(segment), wanted.get(segment.arm) ?? 0);
    if (wanted.has(segment.arm)) wanted.set(segment.arm, wanted.get(segment.arm)! - size);
    if (size > 0) kept.push({ ...segment, to: segment.from + size });
    if (size < sizeOf(segment)) free.push({ ...segment, from: segment.from + size });
  }
  const takers = [...wanted].filter(([, places]) => places > 0);
  for (let { from, to } of free) {
    while (from < to) {
      const taker = takers[0]!;
      const size = Math.min(to - from, taker[1]);
      kept.push({ arm: taker[0], from, to: from + size });
      from += size;
      taker[1] -= size;
      if (taker[1] === 0) takers.shift();
    }
  }
  return merged(kept.sort((a, b) => a.from - b.from));
}

/** Neighbours of one arm become one segment. */
function merged(segments: readonly Segment[]): Layout {
  const result: Segment[] = [];
  for (const segment of segments) {
    const last = result.at(-1);
    if (last?.arm === segment.arm) result[result.length - 1] = { ...last, to: segment.to };
    else result.push(segment);
  }
  return result;
}

/** The arm at a place in [0, PLACES). */
export function armAt(layout: Layout, place: number): string {
  const segment = layout.find(({ to }) => place < to);
  if (!segment) throw new RangeError(`There is no place ${place}: places go from 0 to ${PLACES - 1}.`);
  return segment.arm;
}

/**
 * With what probability a unit is in each arm in all of several layouts, given that it never moved: its shares in an analysis that leaves out
 * the moved units. For one layout these are the weights.
 */
export function sharesOf(layouts: readonly Layout[]): ReadonlyMap<string, number> {
  const [first = [], ...others] = layouts;
  const stayed = others.reduce<Layout>(
    (segments, layout) =>
      segments.flatMap((a) =>
        layout
          .filter((b) => b.arm === a.arm && b.from < a.to && a.from < b.to)
          .map((b) => ({ arm: a.arm, from: Math.max(a.from, b.from), to: Math.min(a.to, b.to) })),
      ),
    first,
  );
  const places = new Map<string, number>();
  for (const segment of stayed) places.set(segment.arm, (places.get(segment.arm) ?? 0) + sizeOf(segment));
  const total = [...places.values()].reduce((sum, count) => sum + count, 0);
  return new Map([...places].map(([arm, count]) => [arm, count / total]));
}
