// What a replica has to do beside the request to be placed: from the requests under way, the work that will come before its first token
// and between its tokens. What hurries more goes before it; among what does not hurry the replica steps every running sequence in turn and
// takes one prompt in at a time (src/engine/batch.ts, src/engine/turns.ts).
import { type Dues, PATIENT, placesFor } from "../engine/turns.ts";
import { MAX_RUNNING } from "../replica/limits.ts";
import { type Costs, prefillTime, stepTime } from "./costs.ts";

/** A request under way at a replica, as this gateway knows it. */
export interface UnderWay {
  readonly costs: Costs;
  readonly promptTokens: number;
  /** Tokens it will probably generate. */
  readonly expectedTokens: number;
  /** Tokens it has generated so far. */
  readonly tokens: number;
  /** Reference milliseconds since it could have begun to prefill; of no meaning once it has a token. */
  readonly sinceMs: number;
  readonly dues: Dues;
}

/** All in milliseconds of the reference machine. */
export interface Load {
  /** Until there is a place in the batch. */
  readonly waitMs: number;
  /** Prompts that are taken in before this request's, and answers that hurry more than its first token. */
  readonly aheadMs: number;
  /** Rounds of the batch during `aheadMs` in which every other running sequence makes a step. */
  readonly aheadRounds: number;
  /** Answers that hurry more than its later tokens, but not than its first. */
  readonly betweenMs: number;
  /** The others that run beside it: how many tokens each has left, what one takes, and in which of its two parts they take turns with it. */
  readonly others: readonly {
    readonly left: number;
    readonly stepMs: number;
    readonly first: boolean;
    readonly rest: boolean;
  }[];
  /** Nothing that is there has a turn before it is done. */
  readonly alone: boolean;
}

/** Prompt tokens that one round of the batch takes in, about. */
const CHUNK = 64;
export const roundsFor = (promptTokens: number): number => Math.ceil(promptTokens / CHUNK);

/**
 * @param requests in the order in which they were sent
 * @param mine when the request to be placed is due
 */
export function loadOf(requests: readonly UnderWay[], mine: Dues = PATIENT): Load {
  const waiting = requests.map((request) => {
    const { costs, promptTokens, expectedTokens, tokens, dues } = request;
    const left = Math.max(1, expectedTokens - tokens);
    const stepMs = stepTime(costs, promptTokens + tokens + left / 2);
    // A prompt on its way in is never quite done before its first token is here.
    const whole = tokens > 0 ? 0 : prefillTime(costs, promptTokens);
    const prefillMs = Math.max(whole / 10, whole - request.sinceMs);
    return { left, stepMs, prefillMs, rounds: tokens > 0 ? 0 : roundsFor(promptTokens), dues };
  });
  const places = placesFor(mine.first, MAX_RUNNING);
  const running = waiting.splice(0, places);
  let waitMs = 0;
  // Places come free as the shortest ends; each goes to the next that waits, and the last one to the request itself.
  while (running.length === places) {
    const steps = Math.min(...running.map(({ left }) => left));
    for (const entry of running) {
      waitMs += entry.prefillMs + Math.min(entry.left, steps) * entry.stepMs;
      entry.prefillMs = 0;
      entry.rounds = 0;
      entry.left -= steps;
    }
    running.splice(
      running.findIndex(({ left }) => left === 0),
      1,
    );
    running.push(...waiting.splice(0, 1));
  }
  let [aheadMs, aheadRounds, betweenMs] = [0, 0, 0];
  const others: Load["others"][number][] = [];
  const isPatient = (due: number): boolean => due === Number.POSITIVE_INFINITY;
  const [first, rest] = [isPatient(mine.first), isPatient(mine.rest)];
  for (const { prefillMs, rounds, left, stepMs, dues } of running) {
    if (dues.first <= mine.first) {
      aheadMs += prefillMs;
      if (isPatient(dues.first)) aheadRounds += rounds;
    }
    if (left === 0) continue;
    if (isPatient(dues.rest)) {
      if (first || rest) others.push({ left, stepMs, first, rest });
    } else if (dues.rest <= mine.first) aheadMs += left * stepMs;
    else if (dues.rest <= mine.rest) betweenMs += left * stepMs;
  }
  const alone = waitMs + aheadMs + betweenMs === 0 && others.length === 0;
  return { waitMs, aheadMs, aheadRounds, betweenMs, others, alone };
}

/** Reference milliseconds that others take turns for within a number of rounds before the first token. */
export function othersBefore({ others }: Load, rounds: number): number {
  let sum = 0;
  for (const { left, stepMs, first } of others) if (first) sum += Math.min(left, rounds) * stepMs;
  return sum;
}

/** And within a number of rounds after it, which came after `done` rounds. */
export function othersAfter({ others }: Load, rounds: number, done: number): number {
  let sum = 0;
  for (const { left, stepMs, first, rest } of others) {
    if (rest) sum += Math.min(first ? Math.max(0, left - done) : left, rounds) * stepMs;
  }
  return sum;
}
