// What a router brings that knows how long each step takes under every variant, but not what comes later: each request gets the variant
// with which it and those under way are most useful together, as far as those that have come can tell. No router that has to predict
// times decides better one request at a time; what lies between it and perfect foresight is knowledge of the future.
import { optionsOf } from "./foresight.ts";
import { type Arrival, replayFixed, type World } from "./simulate.ts";
import { type Case, type Outcome, type Scene, usefulness } from "./verdict.ts";

export function knowTimes(world: World, scene: Scene, cases: readonly Case[], arrivals: readonly Arrival[]): Outcome[] {
  const done: Outcome[] = [];
  let choices: string[] = [];
  let under: Outcome[] = [];
  for (const [i, { at }] of arrivals.entries()) {
    // The replica is idle again: what was before has no part in what comes.
    if (under.every(({ endedAt = 0 }) => endedAt <= at)) {
      done.push(...under);
      [choices, under] = [[], []];
    }
    const first = i - choices.length;
    const come = arrivals.slice(first, i + 1);
    const replay = (variant: string) => {
      const outcomes = replayFixed(world, come, (k) => choices[k] ?? variant, first);
      const sum = outcomes.reduce((total, outcome, k) => total + worthOf(scene, cases[first + k] as Case, outcome), 0);
      return { variant, outcomes, sum };
    };
    // They come best first and are ever faster: of those that bring the same, the one that keeps the replica shortest.
    const best = optionsOf(scene, cases[i] as Case)
      .map(replay)
      .reduce((a, b) => (b.sum >= a.sum ? b : a));
    choices.push(best.variant);
    under = best.outcomes;
  }
  return [...done, ...under];
}

const worthOf = ({ qualities }: Scene, entry: Case, outcome: Outcome): number =>
  entry.counts ? usefulness(qualities, entry, outcome) : 0;
