// A scorer over an engine in the same process: offline, and inside a replica on the weights that serve.

import type { Engine, LogitsWanted, Pace, Sequence } from "../engine/index.ts";
import { divergenceOf } from "../engine/index.ts";
import { createSampler, usedTokens } from "../engine/sampling/index.ts";
import type { Plan } from "../variants/index.ts";
import {
  type AnswerTo,
  type DivergenceRequest,
  type GreedyRequest,
  type LikelihoodRequest,
  type ScoreAnswer,
  type ScoreRequest,
  type Scorer,
  ScoringError,
} from "./scorer.ts";

type ScoringEngine = Pick<Engine, "open" | "step" | "maxChunk">;

/** A variant and the engine that has its weights. */
export interface Subject {
  readonly engine: ScoringEngine;
  readonly plan: Plan;
}

export interface EngineScorerOptions extends Subject {
  /** What divergences are from; without it they are not answered. */
  readonly reference?: (() => Promise<Subject>) | undefined;
  /** Between pieces of a step. Default: the event loop gets no turn. */
  readonly pace?: Pace | undefined;
}

/** Tokens of a reply that both sides take in at once: 6 MB of logits each with a vocabulary of 49,152. */
const ROWS = 32;

/**
 * A context goes through the model once, whatever number of continuations it has: each is appended, read and forgotten again. Its
 * likelihoods have the same bits as in a sequence of its own. Answers one request at a time.
 */
export function createEngineScorer(options: EngineScorerOptions): Scorer {
  const { engine, plan, reference, pace = () => undefined } = options;

  async function step(
    sequence: Sequence,
    tokens: readonly number[],
    logits: LogitsWanted,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    signal?.throwIfAborted();
    const [rows] = await engine.step([{ sequence, tokens, logits }], pace);
    if (!rows) throw new Error("the engine gave no rows for a step");
    return rows;
  }

  const prefill = (sequence: Sequence, tokens: readonly number[], signal: AbortSignal | undefined): Promise<void> =>
    prefillOf({ engine, sequence }, tokens, pace, signal);

  /** Sums what the model says of `targets`, the first of which comes after `last`. */
  async function likelihoodOf(
    sequence: Sequence,
    last: number,
    targets: readonly number[],
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const inputs = [last, ...targets.slice(0, -1)];
    let sum = 0;
    for (let at = 0; at < inputs.length; at += engine.maxChunk) {
      const end = at + engine.maxChunk;
      const logits = { targets: targets.slice(at, end), top: 0 };
      for (const logProbability of await step(sequence, inputs.slice(at, end), logits, signal)) sum += logProbability;
    }
    if (!Number.isFinite(sum)) throw new ScoringError(`${plan.id} gives logits that are not finite`);
    return sum;
  }

  async function likelihoods({ context, continuations }: LikelihoodRequest, signal: AbortSignal | undefined) {
    const last = lastOf(context);
    const longest = Math.max(...continuations.map(({ length }) => length));
    const sequence = await engine.open(plan, context.length - 1 + longest);
    try {
      await prefill(sequence, context.slice(0, -1), signal);
      const logLikelihoods: number[] = [];
      for (const targets of continuations) {
        sequence.truncate(context.length - 1);
        logLikelihoods.push(await likelihoodOf(sequence, last, targets, signal));
      }
      return { type: "likelihood", logLikelihoods } as const;
    } finally {
      sequence.close();
    }
  }

  async function greedy({ context, maxTokens, stopIds }: GreedyRequest, signal: AbortSignal | undefined) {
    const sampler = createSampler({ temperature: 0, seed: 0 });
    const stops = new Set(stopIds);
    let next = lastOf(context);
    const sequence = await engine.open(plan, context.length - 1 + maxTokens);
    try {
      await prefill(sequence, context.slice(0, -1), signal);
      const ids: number[] = [];
      while (ids.length < maxTokens) {
        const logits = await step(sequence, [next], "last", signal);
        if (!Number.isFinite(logits[0])) throw new ScoringError(`${plan.id} gives logits that are not finite`);
        next = sampler.next(logits, sequence.length, usedTokens(plan.base.config)).id;
        ids.push(next);
        if (stops.has(next)) break;
      }
      return { type: "greedy", ids } as const;
    } finally {
      sequence.close();
    }
  }

  /** Gives both sides the reply, a few rows of logits at a time. */
  async function divergence({ context, reply }: DivergenceRequest, signal: AbortSignal | undefined) {
    if (!reference) throw new Error("this scorer has no reference to compare with");
    const sides = await openBoth([await reference(), { engine, plan }], context.length - 1 + reply.length);
    try {
      for (const side of sides) await prefillOf(side, context.slice(0, -1), pace, signal);
      const inputs = [lastOf(context), ...reply.slice(0, -1)];
      const sum = { tokens: reply.length, agreements: 0, kl: 0 };
      for (let at = 0; at < inputs.length; at += ROWS) {
        signal?.throwIfAborted();
        const tokens = inputs.slice(at, at + ROWS);
        const [a, b] = await rowsOf(sides, tokens, pace);
        const { vocab } = plan.base.config;
        for (const row of tokens.keys()) {
          const [from, to] = [row * vocab, (row + 1) * vocab];
          const target = reply[at + row] as number;
          const { kl, agrees } = divergenceOf(a.subarray(from, to), b.subarray(from, to), target);
          if (!Number.isFinite(kl)) throw new ScoringError(`${plan.id} or its base gives logits that are not finite`);
          sum.kl += kl;
          sum.agreements += Number(agrees);
        }
      }
      return { type: "divergence", ...sum } as const;
    } finally {
      for (const { sequence } of sides) sequence.close();
    }
  }

  const answers: {
    [T in ScoreRequest["type"]]: (
      request: Extract<ScoreRequest, { type: T }>,
      signal: AbortSignal | undefined,
    ) => Promise<ScoreAnswer>;
  } = { likelihood: likelihoods, greedy, divergence };

  return {
    async answer<R extends ScoreRequest>(request: R, signal?: AbortSignal) {
      const answer = answers[request.type] as (request: R, signal: AbortSignal | undefined) => Promise<ScoreAnswer>;
      return (await answer(request, signal)) as AnswerTo<R>;
    },
  };
}

function lastOf(context: readonly number[]): number {
  const last = context.at(-1);
  if (last === undefined) throw new RangeError("a context has at least one token");
  return last;
}

/** A sequence in the engine that computes it. */
interface Side {
  readonly engine: ScoringEngine;
  readonly sequence: Sequence;
}

async function prefillOf(
  { engine, sequence }: Side,
  tokens: readonly number[],
  pace: Pace,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let at = 0; at < tokens.length; at += engine.maxChunk) {
    signal?.throwIfAborted();
    await engine.step([{ sequence, tokens: tokens.slice(at, at + engine.maxChunk), logits: "none" }], pace);
  }
}

/** @throws EngineError when either does not fit; no sequence stays open then */
async function openBoth([a, b]: readonly [Subject, Subject], capacity: number): Promise<[Side, Side]> {
  const first = { engine: a.engine, sequence: await a.engine.open(a.plan, capacity) };
  try {
    return [first, { engine: b.engine, sequence: await b.engine.open(b.plan, capacity) }];
  } catch (error) {
    first.sequence.close();
    throw error;
  }
}

/** Logits of both `[tokens, vocab]`. In one engine both go into one step: its arrays are valid until the next. */
async function rowsOf(
  [a, b]: readonly [Side, Side],
  tokens: readonly number[],
  pace: Pace,
): Promise<[Float32Array, Float32Array]> {
  const input = ({ sequence }: Side) => ({ sequence, tokens, logits: "all" }) as const;
  const together = a.engine === b.engine;
  const rows = together
    ? await a.engine.step([input(a), input(b)], pace)
    : [...(await a.engine.step([input(a)], pace)), ...(await b.engine.step([input(b)], pace))];
  const [first, second] = rows;
  if (!first || !second) throw new Error("the engine gave no rows for a step");
  return [first, second];
}
