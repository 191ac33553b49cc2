// A scorer over an engine in the same process: offline, and inside a replica on the weights that serve.
import { createSampler, usedTokens } from "../engine/sampling/index.ts";
import type { Engine, LogitsWanted, Pace, Sequence } from "../engine/types.ts";
import type { Plan } from "../variants/plan.ts";
import {
  type AnswerTo,
  type GreedyRequest,
  type LikelihoodRequest,
  type ScoreAnswer,
  type Scorer,
  ScoringError,
} from "./scorer.ts";

export interface EngineScorerOptions {
  readonly engine: Pick<Engine, "open" | "step" | "maxChunk">;
  readonly plan: Plan;
  /** Between pieces of a step. Default: the event loop gets no turn. */
  readonly pace?: Pace | undefined;
}

/**
 * A context goes through the model once, whatever number of continuations it has: each is appended, read and forgotten again. Its
 * likelihoods have the same bits as in a sequence of its own. Answers one request at a time.
 */
export function createEngineScorer({ engine, plan, pace = () => undefined }: EngineScorerOptions): Scorer {
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

  async function prefill(sequence: Sequence, tokens: readonly number[], signal: AbortSignal | undefined) {
    for (let at = 0; at < tokens.length; at += engine.maxChunk) {
      await step(sequence, tokens.slice(at, at + engine.maxChunk), "none", signal);
    }
  }

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

  return {
    async answer(request, signal) {
      const answer = request.type === "likelihood" ? await likelihoods(request, signal) : await greedy(request, signal);
      return answer as ScoreAnswer as AnswerTo<typeof request>;
    },
  };
}

function lastOf(context: readonly number[]): number {
  const last = context.at(-1);
  if (last === undefined) throw new RangeError("a context has at least one token");
  return last;
}
