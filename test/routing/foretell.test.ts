import { describe, expect, test } from "vitest";
import { mulberry32 } from "../../evaluation/random.ts";
import type { Engine, Prompt, Sequence, StepInput } from "../../src/engine/types.ts";
import { type Costs, chunkTime, REFERENCE_PACE, stepTime } from "../../src/routing/costs.ts";
import { type Foretold, foretell, foretellOthers, loadOf, type UnderWay } from "../../src/routing/load.ts";
import { createBatcher } from "../../src/scheduler/batch.ts";
import type { Generation } from "../../src/scheduler/generation.ts";
import { MAX_RUNNING } from "../../src/scheduler/limits.ts";
import type { TimeAllowed } from "../../src/scheduler/turns.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";

const plan = compilePlan(tinyRecipe(), tinyBase());
const CHUNK = 64;

/** What the test knows of a generation at the batcher. */
interface Known {
  readonly index: number;
  readonly costs: Costs;
  readonly prompt: number;
  readonly maxTokens: number;
  readonly allowed: TimeAllowed;
  askedAt: number;
  isOpen: boolean;
  fed: number;
  firstAt: number | undefined;
  steppedAt: number;
  endedAt: number;
}

function drawn(index: number, next: () => number): Known {
  const between = (least: number, most: number): number => Math.floor(least + next() * (most - least + 1));
  const costs = { prefillMs: 0.5 + 2 * next(), decodeMs: 2 + 20 * next(), contextMs: next() / 100 };
  const wish = next();
  const ms = 20 * 2 ** (9 * next());
  const allowed: TimeAllowed =
    wish < 0.4 ? { latencyMs: ms } : wish < 0.6 ? { ttftMs: ms } : wish < 0.7 ? { tpotMs: ms / 10 } : {};
  const size = { prompt: between(2, 200), maxTokens: between(1, 12) };
  const none = { isOpen: false, fed: 0, firstAt: undefined, steppedAt: 0, endedAt: Number.NaN };
  return { index, costs, allowed, ...size, askedAt: 0, ...none };
}

const generatedOf = ({ fed, prompt }: Known): number => (fed < prompt ? 0 : fed - prompt + 1);
const isOver = (known: Known): boolean => generatedOf(known) >= known.maxTokens;

const underWayOf = (known: Known): UnderWay => ({
  costs: known.costs,
  pace: REFERENCE_PACE,
  promptTokens: known.prompt,
  running: known.isOpen,
  prefilled: Math.min(known.prompt, known.fed),
  expectedTokens: known.maxTokens,
  maxTokens: known.maxTokens,
  tokens: generatedOf(known),
  allowed: known.allowed,
  askedAt: known.askedAt,
  firstAt: known.firstAt,
  steppedAt: known.steppedAt,
  worth: 0,
});

/**
 * Runs the batcher on an engine whose steps take what they cost, in a time of their own. After some steps one more request comes.
 * @returns what was foretold then for it and for the others, and how it came out
 */
async function trial(seed: number) {
  const next = mulberry32(seed);
  const others = Array.from({ length: 1 + Math.floor(next() * 10) }, (_, i) => drawn(i, next));
  const mine = drawn(others.length, next);
  const comesAfter = 1 + Math.floor(next() * 40);
  const all = [...others, mine];
  const sequences = new Map<Sequence, Known>();
  const done: Promise<void>[] = [];
  let [clock, steps] = [0, 0];
  let told: { mine: Foretold; others: Foretold[]; at: number; left: Known[] } | undefined;

  const submit = (known: Known): void => {
    known.askedAt = clock;
    known.steppedAt = clock;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    done.push(promise);
    const generation: Generation = {
      plan,
      promptIds: new Array(known.prompt).fill(known.index),
      maxTokens: known.maxTokens,
      allowed: known.allowed,
      endIds: [],
      onToken: () => undefined,
      sampler: { next: () => ({ id: 1, logprob: 0, top: [] }) },
      onEnd() {
        known.endedAt = clock;
        resolve();
      },
      onError: reject,
    };
    batcher.submit(generation);
  };
  const arrive = (): void => {
    const left = others.filter((known) => !isOver(known));
    const load = loadOf(left.map(underWayOf), clock);
    const request = underWayOf(mine);
    told = { mine: foretell(load, request), others: foretellOthers(load, request), at: clock, left };
    submit(mine);
  };
  const engine = {
    name: "wasm",
    digest: "",
    maxChunk: CHUNK,
    residentBytes: () => 0,
    capacityOf: () => 1e6,
    async open(_plan: unknown, _capacity: number, _scope?: string, prompt?: Prompt) {
      const known = all[prompt?.tokens[0] as number] as Known;
      known.isOpen = true;
      const sequence = { plan, length: 0, close: () => undefined } as unknown as Sequence;
      sequences.set(sequence, known);
      return sequence;
    },
    async step(batch: readonly StepInput[]) {
      for (const { sequence, tokens } of batch) {
        const known = sequences.get(sequence) as Known;
        const { costs, prompt, fed } = known;
        const count = tokens.length;
        clock +=
          fed >= prompt
            ? stepTime(costs, fed + 1)
            : chunkTime(costs, REFERENCE_PACE, fed, count, fed + count >= prompt);
        known.fed += count;
        (sequence as { length: number }).length += count;
      }
      for (const { sequence } of batch) {
        const known = sequences.get(sequence) as Known;
        known.steppedAt = clock;
        if (known.fed >= known.prompt) known.firstAt ??= clock;
      }
      if (!told && (++steps === comesAfter || others.every(isOver))) arrive();
      return batch.map(() => new Float32Array(1));
    },
  } as unknown as Engine;
  const batcher = createBatcher({ engine, pace: () => undefined, maxRunning: MAX_RUNNING, now: () => clock });
  for (const known of others) submit(known);
  for (let i = 0; i < done.length; i++) await done[i];
  return { mine, told: told! };
}

describe("the times of requests", () => {
  test("are foretold as the scheduler has them, in 1,000 random states", async () => {
    for (let seed = 1; seed <= 1000; seed++) {
      const { mine, told } = await trial(seed);
      expect(told.at + told.mine.firstMs, `first token, seed ${seed}`).toBeCloseTo(mine.firstAt as number, 6);
      expect(told.at + told.mine.firstMs + told.mine.restMs, `end, seed ${seed}`).toBeCloseTo(mine.endedAt, 6);
      for (const [i, known] of told.left.entries()) {
        const { firstMs, restMs } = told.others[i] as Foretold;
        expect(told.at + firstMs + restMs, `end of ${known.index}, seed ${seed}`).toBeCloseTo(known.endedAt, 6);
      }
    }
  }, 120_000);
});
