// Fair shares of an engine among keys. What each key was given is counted in units of work, and whose count is least
// goes first (deficit round robin: Shreedhar and Varghese, IEEE/ACM Transactions on Networking 4(3), 1996; counters of
// tokens: Sheng et al., Fairness in Serving Large Language Models, OSDI 2024). Pure: the replica decides by these
// rules, and the gateway predicts by them.

/** Units of work that each key was given. */
export type Served = Map<string, number>;

/** A token that is generated takes as long as this many tokens of a prompt. */
export const DECODE_UNITS = 2;
/** A key that is further ahead of another one that could step waits for it: a chunk of a prompt. */
export const QUANTUM = 64;
/** A generation with a deadline may take its key this much further ahead. */
export const LOAN = 128;
/** Background work counts this many times: beside others it gets one part in nine. */
const BACKGROUND_WEIGHT = 8;

/** Whose share a generation's work is of. */
export const shareKey = (scope: string | undefined, background: boolean | undefined): string =>
  `${background ? "background" : "live"} ${scope ?? ""}`;
export const isBackground = (key: string): boolean => key.startsWith("background ");

export const servedOf = (served: Served, key: string): number => served.get(key) ?? 0;

/** The least of the keys' counts; infinite for no key. */
export function leastOf(served: Served, keys: Iterable<string>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const key of keys) least = Math.min(least, servedOf(served, key));
  return least;
}

export function charge(served: Served, key: string, units: number): void {
  served.set(key, servedOf(served, key) + units * (isBackground(key) ? BACKGROUND_WEIGHT : 1));
}

/** A key that had nothing to do begins level with the others: idle time earns nothing. */
export function enter(served: Served, key: string, others: Iterable<string>): void {
  const least = leastOf(served, others);
  if (least < Number.POSITIVE_INFINITY) served.set(key, Math.max(servedOf(served, key), least));
}

/** Drops counts that `enter` would not use any more. */
export function forget(served: Served, active: ReadonlySet<string>): void {
  const least = leastOf(served, active);
  for (const [key, units] of served) if (!active.has(key) && units <= least) served.delete(key);
}

/** A generation that waits for a sequence. */
export interface Applicant {
  readonly key: string;
  due(now: number): number;
  /** When it was first passed over, because there was no room for it. */
  readonly passedAt: number | undefined;
}

/** What was passed over for this long is passed over no more by others of its key, or of keys that were given more. */
const AGE_MS = 2_000;

/**
 * Applicants in the order in which they are tried: the key that was given least first, in a key what hurries, then who
 * came first.
 * @param applicants in the order in which they came
 * @param fits whether there is a place for one that is due then
 */
export function admissionOrder<T extends Applicant>(
  applicants: readonly T[],
  served: Served,
  now: number,
  fits: (applicant: T, due: number) => boolean,
): T[] {
  const aged = [...applicants.entries()].filter(
    ([, { passedAt }]) => passedAt !== undefined && now - passedAt > AGE_MS,
  );
  const mayPass = (one: T, place: number): boolean =>
    aged.every(([before, old]) =>
      old.key === one.key ? place <= before : servedOf(served, one.key) <= servedOf(served, old.key) + QUANTUM,
    );
  return applicants
    .map((one, place) => ({ one, place, due: one.due(now) }))
    .filter(({ one, place, due }) => fits(one, due) && mayPass(one, place))
    .sort(
      (a, b) =>
        Number(isBackground(a.one.key)) - Number(isBackground(b.one.key)) ||
        servedOf(served, a.one.key) - servedOf(served, b.one.key) ||
        compareTimes(a.due, b.due),
    )
    .map(({ one }) => one);
}

/** As `a - b`, also for two that are infinite. */
const compareTimes = (a: number, b: number): number => (a === b ? 0 : a - b);

/** A generation that holds a sequence. */
export interface Holder {
  readonly key: string;
  /** Share of the engine's memory that its sequence may take, 0 to 1. */
  readonly size: number;
  /** Its reader is behind. */
  readonly paused: boolean;
}

/**
 * Who gives up memory for one that finds no room: background work, else of a key that has more than its share of
 * memory, when the one that asks stays within its own. Paused readers go first, then who came last.
 * @param holders in the order in which they got their sequences
 * @param keys number of keys that have something to do
 * @returns as many as it takes; none where all of them would not be enough
 */
export function victimsOf<T extends Holder>(
  holders: readonly T[],
  asking: Omit<Holder, "paused">,
  keys: number,
): readonly T[] {
  const victims: T[] = [];
  let left = holders;
  const free = (): number => 1 - left.reduce((sum, { size }) => sum + size, 0);
  do {
    const victim = victimOf(left, asking, keys);
    if (!victim) return [];
    victims.push(victim);
    left = left.filter((holder) => holder !== victim);
  } while (free() < asking.size);
  return victims;
}

function victimOf<T extends Holder>(
  holders: readonly T[],
  asking: Omit<Holder, "paused">,
  keys: number,
): T | undefined {
  if (isBackground(asking.key)) return undefined;
  const sizeOf = (key: string): number =>
    holders.reduce((sum, holder) => sum + (holder.key === key ? holder.size : 0), 0);
  const background = holders.findLast(({ key }) => isBackground(key));
  if (background) return background;
  const fair = 1 / Math.max(1, keys);
  if (sizeOf(asking.key) + asking.size > fair) return undefined;
  const greedy = holders.filter(({ key }) => key !== asking.key && sizeOf(key) > fair);
  return greedy.findLast(({ paused }) => paused) ?? greedy.at(-1);
}

/**
 * Units of work that are done before a key's next generation begins: its own, and meanwhile as much of each other
 * key's as that has.
 * @param work units that are left of each key's generations
 * @param isSteady whether a key is taken to go on asking
 */
export function unitsAhead(
  work: ReadonlyMap<string, number>,
  key: string,
  isSteady: (key: string) => boolean = () => false,
): number {
  const own = work.get(key) ?? 0;
  let ahead = own;
  for (const [other, units] of work) {
    if (other !== key) ahead += isSteady(other) ? own + QUANTUM : Math.min(units, own + QUANTUM);
  }
  return ahead;
}
