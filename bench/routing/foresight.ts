// The most that a router could have brought that knows every arrival and every step's time beforehand: the variants of all requests
// with a limit in time are searched for, period by period in which the replica is busy. Requests without one are answered by the base.
import { type Arrival, replayFixed, type World } from "./simulate.ts";
import { type Case, type Outcome, type Scene, shareOf, usefulness } from "./verdict.ts";

/** Assignments that are all tried; with more, one request is changed at a time until nothing helps. */
const MOST_TRIED = 300;
const PASSES = 4;

/**
 * @param start what the search begins with, beside the base and the fastest: no bound is below it
 * @returns outcomes under the best assignment that was found
 */
export function foresee(
  world: World,
  scene: Scene,
  cases: readonly Case[],
  arrivals: readonly Arrival[],
  start: (index: number) => string,
): Outcome[] {
  const byBase = replayFixed(world, arrivals, () => scene.base);
  const outcomes: Outcome[] = [];
  let free = Number.NEGATIVE_INFINITY;
  let first = 0;
  const close = (end: number): void => {
    if (end > first)
      outcomes.push(...searchPeriod(world, scene, cases.slice(first, end), arrivals.slice(first, end), first, start));
    first = end;
  };
  for (const [i, { at }] of arrivals.entries()) {
    if (at >= free) close(i);
    free = Math.max(free, byBase[i]?.endedAt ?? 0);
  }
  close(arrivals.length);
  return outcomes;
}

function searchPeriod(
  world: World,
  scene: Scene,
  cases: readonly Case[],
  arrivals: readonly Arrival[],
  first: number,
  start: (index: number) => string,
): Outcome[] {
  const options = cases.map((entry) => optionsOf(scene, entry));
  const replay = (choice: readonly string[]) => {
    const outcomes = replayFixed(world, arrivals, (i) => choice[i] as string, first);
    const sum = cases.reduce(
      (total, entry, i) => total + (entry.counts ? usefulness(scene.qualities, entry, outcomes[i] as Outcome) : 0),
      0,
    );
    return { choice, outcomes, sum };
  };
  const starts = [
    cases.map(() => scene.base),
    cases.map((_, i) => start(first + i)),
    options.map((some) => some.at(-1) as string),
  ];
  const most = cases.reduce((sum, entry) => sum + Number(entry.counts), 0);
  let best = replay(starts[0] as string[]);
  const consider = (choice: readonly string[]): void => {
    if (best.sum >= most) return;
    const tried = replay(choice);
    if (tried.sum > best.sum) best = tried;
  };
  const count = options.reduce((product, { length }) => product * length, 1);
  if (count <= MOST_TRIED) {
    for (let n = 0; n < count; n++) consider(nth(options, n));
    return best.outcomes;
  }
  let found = best;
  for (const from of starts) {
    best = replay(from);
    for (let pass = 0, before = -1; pass < PASSES && best.sum > before; pass++) {
      before = best.sum;
      for (const [i, some] of options.entries()) {
        for (const variant of some) {
          if (variant !== best.choice[i]) consider(best.choice.with(i, variant));
        }
      }
    }
    if (best.sum > found.sum) found = best;
  }
  return found.outcomes;
}

/** The n-th of all assignments. */
function nth(options: readonly (readonly string[])[], n: number): string[] {
  let rest = n;
  return options.map((some) => {
    const choice = some[rest % some.length] as string;
    rest = Math.floor(rest / some.length);
    return choice;
  });
}

/** The variants that may be best for a request: each is faster than any that is better. Best first. */
export function optionsOf({ variants, base, idle, qualities }: Scene, { request, budget }: Case): string[] {
  if (request.wish.kind === "none") return [base];
  const good = variants
    .filter((variant) => (qualities.of(variant)?.accNorm ?? 0) >= (budget.minHellaswag ?? 0))
    .map((variant) => ({ variant, share: shareOf(qualities, variant), ms: idle(request, variant).latency }))
    .toSorted((a, b) => b.share - a.share || a.ms - b.ms);
  const front: typeof good = [];
  for (const option of good) if (option.ms < (front.at(-1)?.ms ?? Number.POSITIVE_INFINITY)) front.push(option);
  return front.map(({ variant }) => variant);
}
