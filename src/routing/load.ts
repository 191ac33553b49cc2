// What a replica has to do beside the request to be placed: from the requests under way, the work that will come before its first token
// and between its tokens. The replica steps every running sequence in turn and takes one prompt in at a time (src/engine/batch.ts).
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
}

/** All in milliseconds of the reference machine. */
export interface Load {
  /** Until there is a place in the batch. */
  readonly waitMs: number;
  /** Prompts that are taken in before this request's. */
  readonly aheadMs: number;
  /** Rounds of the batch during `aheadMs`, in each of which every other running sequence makes a step. */
  readonly aheadRounds: number;
  /** The others that run then: how many tokens each has left, and what one takes. */
  readonly others: readonly { readonly left: number; readonly stepMs: number }[];
  /** Nobody else is there. */
  readonly alone: boolean;
}

/** Prompt tokens that one round of the batch takes in, about. */
const CHUNK = 64;
export const roundsFor = (promptTokens: number): number => Math.ceil(promptTokens / CHUNK);

/** @param requests in the order in which they were sent */
export function loadOf(requests: readonly UnderWay[]): Load {
  const waiting = requests.map((request) => {
    const { costs, promptTokens, expectedTokens, tokens } = request;
    const left = Math.max(1, expectedTokens - tokens);
    const stepMs = stepTime(costs, promptTokens + tokens + left / 2);
    // A prompt on its way in is never quite done before its first token is here.
    const whole = tokens > 0 ? 0 : prefillTime(costs, promptTokens);
    const prefillMs = Math.max(whole / 10, whole - request.sinceMs);
    return { left, stepMs, prefillMs, rounds: tokens > 0 ? 0 : roundsFor(promptTokens) };
  });
  const running = waiting.splice(0, MAX_RUNNING);
  let waitMs = 0;
  // Places come free as the shortest ends; each goes to the next that waits, and the last one to the request itself.
  while (running.length === MAX_RUNNING) {
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
  return {
    waitMs,
    aheadMs: running.reduce((sum, { prefillMs }) => sum + prefillMs, 0),
    aheadRounds: running.reduce((sum, { rounds }) => sum + rounds, 0),
    others: running.filter(({ left }) => left > 0).map(({ left, stepMs }) => ({ left, stepMs })),
    alone: requests.length === 0,
  };
}

/** Reference milliseconds that the others take within a number of rounds, after `done` rounds already counted. */
export function othersWithin({ others }: Load, rounds: number, done = 0): number {
  let sum = 0;
  for (const { left, stepMs } of others) sum += Math.min(Math.max(0, left - done), rounds) * stepMs;
  return sum;
}
