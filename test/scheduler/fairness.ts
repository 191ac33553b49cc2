// Random loads on a scheduler whose engine computes nothing and whose clock counts units of work: what keys get of
// each other's time, whatever they ask for.
import fc from "fast-check";
import { expect } from "vitest";
import { type Engine, EngineError, type Sequence } from "../../src/engine/types.ts";
import { type Batcher, createBatcher } from "../../src/scheduler/batch.ts";
import type { Generation } from "../../src/scheduler/generation.ts";
import { DECODE_UNITS, LOAN, QUANTUM } from "../../src/scheduler/shares.ts";
import type { Refusal } from "../../src/scheduler/wait.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";

const plan = compilePlan(tinyRecipe(), tinyBase());
const CHUNK = 64;
/** Tokens that memory has room for. */
const MEMORY = 1_000;
const MAX_RUNNING = 4;

export interface Ask {
  readonly key: string;
  readonly prompt: number;
  readonly tokens: number;
  readonly at: number;
  readonly latencyMs?: number | undefined;
  readonly background?: boolean | undefined;
}
export const unitsOf = ({ prompt, tokens }: Ask): number => prompt + DECODE_UNITS * tokens;

interface Ended {
  readonly ask: Ask;
  readonly ms: number;
  /** Nothing else of its key was there while it was. */
  readonly alone: boolean;
}

/** An engine whose clock is the units that it has computed, told of each step before it ends. */
function clockedEngine(onStep: () => void) {
  const held = new Map<string, number>();
  const served = new Map<string, number>();
  let clock = 0;
  let memory = 0;
  const engine: Engine = {
    name: "wasm",
    digest: "clocked",
    maxChunk: CHUNK,
    residentBytes: () => 0,
    capacityOf: () => MEMORY,
    async open(_, capacity, scope = "") {
      if (memory + capacity > MEMORY) throw new EngineError("out_of_memory", "full");
      memory += capacity;
      held.set(scope, (held.get(scope) ?? 0) + 1);
      let closed = false;
      const sequence = { plan, length: 0, scope, truncate() {}, close };
      function close(): void {
        if (closed) return;
        closed = true;
        memory -= capacity;
        held.set(scope, (held.get(scope) ?? 0) - 1);
      }
      return sequence as Sequence;
    },
    async switchPlan() {},
    async step(batch) {
      for (const { sequence, tokens, logits } of batch) {
        const units = tokens.length === 1 && logits === "last" ? DECODE_UNITS : tokens.length;
        clock += units;
        const { scope } = sequence as unknown as { scope: string };
        served.set(scope, (served.get(scope) ?? 0) + units);
        (sequence as { length: number }).length += tokens.length;
      }
      onStep();
      return batch.map(({ logits }) => new Float32Array(logits === "none" ? 0 : 1));
    },
  };
  return {
    engine,
    served,
    now: () => clock,
    rest(until: number) {
      clock = Math.max(clock, until);
    },
    /** Keys that hold a sequence: they can step. */
    able: () => [...held].flatMap(([key, count]) => (count > 0 ? [key] : [])),
  };
}

/** The farthest that the difference of two keys' units moved while both could step all the time. */
function createGaps() {
  const since = new Map<string, { base: number; least: number; most: number }>();
  let widest = 0;
  return {
    note(able: readonly string[], served: ReadonlyMap<string, number>): void {
      const pairs = new Set<string>();
      for (const a of able) {
        for (const b of able) {
          if (a >= b) continue;
          const pair = `${a} ${b}`;
          pairs.add(pair);
          const gap = (served.get(a) ?? 0) - (served.get(b) ?? 0);
          const known = since.get(pair) ?? { base: gap, least: gap, most: gap };
          known.least = Math.min(known.least, gap);
          known.most = Math.max(known.most, gap);
          since.set(pair, known);
          widest = Math.max(widest, known.most - known.least);
        }
      }
      for (const pair of since.keys()) if (!pairs.has(pair)) since.delete(pair);
    },
    widest: () => widest,
  };
}

/** @param watch told of the units that each key was given, after each step */
export async function run(asks: readonly Ask[], watch?: (served: ReadonlyMap<string, number>, now: number) => void) {
  const coming = asks.toSorted((a, b) => a.at - b.at);
  const underWay = new Map<string, Set<Ask>>();
  const crowded = new Set<Ask>();
  const ended: Ended[] = [];
  const gaps = createGaps();
  let steps = 0;
  const clocked = clockedEngine(() => {
    steps++;
    gaps.note(clocked.able(), clocked.served);
    watch?.(clocked.served, clocked.now());
    arrive();
  });
  const { engine, now, rest } = clocked;
  const batcher: Batcher = createBatcher({ engine, pace: () => undefined, maxRunning: MAX_RUNNING, now });
  const submit = (ask: Ask): void => {
    const own = underWay.get(ask.key) ?? new Set();
    underWay.set(ask.key, own.add(ask));
    if (own.size > 1) for (const each of own) crowded.add(each);
    const askedAt = now();
    const end = (): void => {
      own.delete(ask);
      ended.push({ ask, ms: now() - askedAt, alone: !crowded.has(ask) });
    };
    const generation: Generation = {
      plan,
      scope: ask.key,
      background: ask.background,
      maxTokens: ask.tokens,
      endIds: [],
      promptIds: Array.from({ length: ask.prompt }, () => 7),
      allowed: ask.latencyMs === undefined ? undefined : { latencyMs: ask.latencyMs },
      sampler: { next: () => ({ id: 1, logprob: 0, top: [] }) },
      onToken: () => undefined,
      onEnd: end,
      onError: end,
    };
    batcher.submit(generation);
  };
  function arrive(): void {
    while (coming[0] && coming[0].at <= now()) submit(coming.shift() as Ask);
  }
  while (ended.length < asks.length) {
    const before = steps;
    if (coming.length > 0 && ended.length + coming.length === asks.length) rest((coming[0] as Ask).at);
    arrive();
    await new Promise((resolve) => setImmediate(resolve));
    // Work conserved: whenever the event loop comes round, steps were made as long as there was something to do.
    if (ended.length + coming.length < asks.length) expect(steps).toBeGreaterThan(before);
  }
  expect(batcher.queued + batcher.running).toBe(0);
  return { ended, widest: gaps.widest(), served: clocked.served };
}

/**
 * One key asks until it is refused, beside another one that always has something to do; then it waits until it would be
 * taken again.
 */
export async function floodUntilRefused() {
  let refused: { readonly refusal: Refusal; readonly at: number } | undefined;
  let other: Refusal | undefined;
  let takenAt: number | undefined;
  const { engine, now } = clockedEngine(() => {
    if (refused && takenAt === undefined && !batcher.refusal({ scope: "flood" })) takenAt = now();
  });
  const batcher = createBatcher({ engine, pace: () => undefined, maxRunning: MAX_RUNNING, now });
  const submit = (key: string, prompt: number, onEnd: () => void): void =>
    void batcher.submit({
      plan,
      scope: key,
      maxTokens: 30,
      endIds: [],
      promptIds: Array.from({ length: prompt }, () => 7),
      sampler: { next: () => ({ id: 1, logprob: 0, top: [] }) },
      onToken: () => undefined,
      onEnd,
      onError(error) {
        throw error;
      },
    });
  // What is known of this machine and its answers.
  for (let i = 0; i < 100; i++) await new Promise<void>((resolve) => submit("earlier", 300, resolve));
  const flood = (): void => {
    while (!refused) {
      const refusal = batcher.refusal({ scope: "flood" });
      if (!refusal) submit("flood", 900, () => {});
      else refused = { refusal, at: now() };
    }
    other = batcher.refusal({ scope: "lone" });
  };
  const since = now();
  const again = (): void => {
    if (takenAt !== undefined) return;
    if (!refused && now() - since > 6_000) flood();
    submit("steady", 300, again);
  };
  for (let i = 0; i < MAX_RUNNING; i++) again();
  while (takenAt === undefined) await new Promise((resolve) => setImmediate(resolve));
  const { refusal, at } = refused as unknown as NonNullable<typeof refused>;
  return { refusal, takenAfterMs: takenAt - at, other };
}

const anAsk = fc.record({
  key: fc.constantFrom("a", "b", "c", "d"),
  prompt: fc.integer({ min: 1, max: 300 }),
  tokens: fc.integer({ min: 1, max: 60 }),
  at: fc.integer({ min: 0, max: 3_000 }),
  latencyMs: fc.option(fc.integer({ min: 50, max: 6_000 }), { nil: undefined, freq: 3 }),
});

/** Two keys that can step all the time drift apart no further: a loan, a quantum, and a step beyond either. */
const WIDEST = 2 * (LOAN + QUANTUM + CHUNK + 2 * MAX_RUNNING * DECODE_UNITS);

/** Holds random loads against what the scheduler promises: nobody starves, no idleness beside work, bounded distances. */
export async function checkRandomLoads(numRuns: number): Promise<void> {
  let alone = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(anAsk, { minLength: 1, maxLength: 24 }), async (asks) => {
      const { ended, widest } = await run(asks);
      expect(widest).toBeLessThanOrEqual(WIDEST);
      const keys = new Set(asks.map(({ key }) => key)).size;
      for (const { ask, ms, alone: isAlone } of ended) {
        // What fits into a key's part of memory and of time waits for nobody's queue.
        if (!isAlone || ask.prompt + ask.tokens > MEMORY / keys) continue;
        alone++;
        expect(ms).toBeLessThanOrEqual(unitsOf(ask) + (keys - 1) * (unitsOf(ask) + WIDEST) + CHUNK + 16);
      }
    }),
    { numRuns },
  );
  expect(alone).toBeGreaterThan(numRuns / 10);
}
