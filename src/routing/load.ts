// What a replica does beside the request to be placed. The scheduler's own rules (src/scheduler/turns.ts) are played forward on the
// requests under way, with the time that each step is foretold to take: whoever decides the order also predicts it. All requests are taken
// to be of one key: what a replica has given other keys is known there alone.

import type { Applicant, Served } from "../scheduler/index.ts";
import { admissible, dueAt, MAX_RUNNING, steppingOf, type TimeAllowed, type Waiting } from "../scheduler/index.ts";
import { type Costs, chunkTime, type Pace, prefillTime, stepTime } from "./costs.ts";

/** A request at a replica, or to be placed there, as this gateway knows it. Times are milliseconds of one clock. */
export interface UnderWay {
  readonly costs: Costs;
  readonly pace: Pace;
  readonly promptTokens: number;
  /** It has a place in the batch. */
  readonly running: boolean;
  /** Of the prompt, tokens that have been taken in. */
  readonly prefilled: number;
  /** Tokens it will probably generate, and may at most. */
  readonly expectedTokens: number;
  readonly maxTokens: number;
  /** Tokens it has generated so far. */
  readonly tokens: number;
  readonly allowed: TimeAllowed;
  readonly askedAt: number;
  readonly firstAt: number | undefined;
  /** When it had its last turn, or was asked for. */
  readonly steppedAt: number;
  /** What its answer is worth if it keeps its limits in time; 0 without any. */
  readonly worth: number;
}

export interface Load {
  readonly now: number;
  /** In the order in which they were asked for. */
  readonly requests: readonly UnderWay[];
  /** Nobody else is there. */
  readonly alone: boolean;
}

export const loadOf = (requests: readonly UnderWay[], now = 0): Load => ({
  now,
  requests,
  alone: requests.length === 0,
});

/** Prompt tokens that one round of the batch takes in. */
export const CHUNK = 64;
/** Rounds that are played token by token, about; with more tokens to come, a round stands for several. */
const ROUNDS = 256;
/** No key is ahead of another. */
export const EVEN: Served = new Map();

/** Milliseconds to the first token, and from there to the last. */
export interface Foretold {
  readonly firstMs: number;
  readonly restMs: number;
}

interface Player extends Waiting, Applicant {
  readonly request: UnderWay;
  prefilled: number;
  tokens: number;
  firstAt: number | undefined;
  steppedAt: number;
  decoding: boolean;
  readonly last: number;
}

const never = (): number => Number.POSITIVE_INFINITY;
const isLimited = ({ allowed: { latencyMs, ttftMs, tpotMs } }: UnderWay): boolean =>
  (latencyMs ?? ttftMs ?? tpotMs) !== undefined;

function play(request: UnderWay): Player {
  const { prefilled, tokens, firstAt, steppedAt } = request;
  const player: Player = {
    request,
    prefilled,
    tokens,
    firstAt,
    steppedAt,
    decoding: tokens > 0,
    key: "",
    passedAt: undefined,
    last: Math.max(tokens + 1, request.expectedTokens),
    due: isLimited(request)
      ? (now) => dueAt({ ...request, firstAt: player.firstAt, tokens: player.tokens }, now)
      : never,
  };
  return player;
}

/** A request that is asked for now. */
export type Asked = Pick<UnderWay, "costs" | "pace" | "promptTokens" | "expectedTokens" | "maxTokens" | "allowed">;

/** How long a request will take that is asked for now, under the scheduler's rules and without any that come later. */
export function foretell(load: Load, mine: Asked): Foretold {
  const { costs, pace, promptTokens, expectedTokens } = mine;
  if (load.alone) {
    const steps = Math.max(0, expectedTokens - 1);
    return {
      firstMs: prefillTime(costs, promptTokens, pace),
      restMs: steps * pace.decode * stepTime(costs, promptTokens + expectedTokens / 2),
    };
  }
  const me = asked(mine, load.now);
  playOut(load, load.requests.map(play), me, [me]);
  return timesOf(me, load.now);
}

/** The same of all requests that are under way, with one more beside or without. */
export function foretellOthers(load: Load, mine: Asked | undefined): Foretold[] {
  const players = load.requests.map(play);
  playOut(load, players, mine && asked(mine, load.now), players);
  return players.map((player) => timesOf(player, load.now));
}

const asked = (mine: Asked, now: number): Player =>
  play({
    ...mine,
    running: false,
    prefilled: 0,
    tokens: 0,
    askedAt: now,
    firstAt: undefined,
    steppedAt: now,
    worth: 0,
  });

/** @returns to its first token, or 0 where that was before; and from there to the last */
function timesOf({ firstAt = 0, steppedAt }: Player, now: number): Foretold {
  const firstMs = Math.max(0, firstAt - now);
  return { firstMs, restMs: steppedAt - now - firstMs };
}

/** Plays on until some are done. */
function playOut({ now }: Load, players: readonly Player[], me: Player | undefined, until: readonly Player[]): void {
  const all = me ? [...players, me] : players;
  const holders = new Set(players.filter(({ request }) => request.running));
  let left = all;
  const toCome = all.reduce((sum, { last, tokens }) => sum + last - tokens, 0);
  const stride = Math.ceil(toCome / ROUNDS);
  let clock = now;
  while (until.some(({ tokens, last }) => tokens < last)) {
    for (;;) {
      const queue = left.filter((player) => !holders.has(player));
      // With many under way most rounds admit nobody: what nothing can hurry then waits for a place.
      if (holders.size >= MAX_RUNNING && queue.every(({ due }) => due === never)) break;
      const [next] = admissible(queue, [...holders], EVEN, clock, MAX_RUNNING);
      if (!next) break;
      holders.add(next);
    }
    const able = left.filter((player) => holders.has(player));
    clock += round(steppingOf(able, EVEN, clock, 2 * MAX_RUNNING), clock, stride);
    left = left.filter(({ tokens, last }) => tokens < last);
    for (const player of holders) if (player.tokens >= player.last) holders.delete(player);
  }
}

/** Plays one round. @returns its milliseconds */
function round(stepping: readonly Player[], clock: number, stride: number): number {
  const decoding = stepping.filter((player) => player.decoding);
  const steps =
    decoding.length < stepping.length ? 1 : Math.min(stride, ...decoding.map(({ last, tokens }) => last - tokens));
  let ms = 0;
  for (const player of stepping) {
    const { costs, pace, promptTokens } = player.request;
    if (player.decoding) {
      ms += pace.decode * steps * stepTime(costs, promptTokens + player.tokens + (steps - 1) / 2);
      player.tokens += steps;
      continue;
    }
    const chunk = Math.min(CHUNK, promptTokens - player.prefilled);
    ms += chunkTime(costs, pace, player.prefilled, chunk, player.prefilled + chunk >= promptTokens);
    player.prefilled += chunk;
    if (player.prefilled < promptTokens) continue;
    player.decoding = true;
    player.tokens = 1;
  }
  for (const player of stepping) {
    player.steppedAt = clock + ms;
    if (player.decoding) player.firstAt ??= clock + ms;
  }
  return ms;
}
