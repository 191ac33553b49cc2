import { describe, expect, it, vi } from "vitest";
import { type Engine, EngineError } from "../../src/engine/types.ts";
import { createBatcher } from "../../src/scheduler/batch.ts";
import type { Generation } from "../../src/scheduler/generation.ts";
import { compilePlan } from "../../src/variants/plan.ts";
import { tinyBase, tinyRecipe } from "../support/base.ts";
import { countingEngine } from "../support/engine.ts";

const plan = compilePlan(tinyRecipe(), tinyBase());
const END = 0;

const greedy = { next: (logits: Float32Array) => ({ id: logits.indexOf(1), logprob: 0, top: [] }) };

/** Submits a generation and collects what it gives. */
function collector(promptLength: number, maxTokens: number, change: Partial<Generation> = {}) {
  const tokens: number[] = [];
  const end = vi.fn();
  const error = vi.fn();
  const done = Promise.withResolvers<void>();
  const generation: Generation = {
    plan,
    promptIds: Array.from({ length: promptLength }, () => 7),
    maxTokens,
    endIds: [END],
    sampler: greedy,
    onToken({ id }) {
      tokens.push(id);
      return undefined;
    },
    onEnd(reason) {
      end(reason);
      done.resolve();
    },
    onError(reason) {
      error(reason);
      done.resolve();
    },
    ...change,
  };
  return { generation, tokens, end, error, done: done.promise };
}
const pace = () => undefined;
const settle = () => scheduler.wait(20);

describe("createBatcher", () => {
  it("prefills in chunks, asks for logits only after the last, and stops at the length", async () => {
    const { engine, batches, open } = countingEngine();
    const { generation, tokens, end, done } = collector(10, 3);
    createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
    await done;
    await settle();
    expect(tokens).toEqual([10, 11, 12]);
    expect(end).toHaveBeenCalledExactlyOnceWith("length");
    expect(batches.flat().map((input) => [input.tokens.length, input.logits])).toEqual([
      [4, "none"],
      [4, "none"],
      [2, "last"],
      [1, "last"],
      [1, "last"],
    ]);
    expect(open()).toBe(0);
  });

  it("gives the event loop its turn between the masks of several sequences that take long", async () => {
    const { engine } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 4 });
    let sinceTurn = 0;
    let most = 0;
    const looks = setInterval(() => {
      sinceTurn = 0;
    }, 0);
    const slow = () => {
      let work = 0;
      const mask = (): Int32Array => {
        work += 250_000;
        sinceTurn += 250_000;
        most = Math.max(most, sinceTurn);
        return new Int32Array(4).fill(-1);
      };
      return {
        mask,
        accept() {},
        complete: false,
        over: false,
        get work() {
          return work;
        },
      };
    };
    const all = Array.from({ length: 4 }, () => collector(2, 5, { matcher: slow() }));
    for (const { generation } of all) batcher.submit(generation);
    await Promise.all(all.map(({ done }) => done));
    clearInterval(looks);
    expect(all.map(({ tokens }) => tokens.length)).toEqual([5, 5, 5, 5]);
    // Of the last sequence of a step and the first of the next, where the engine takes no time.
    expect(most).toBeLessThanOrEqual(500_000);
  });

  it("hands the sampler a mask of the tokens that stand for something, where some do not", async () => {
    const { engine } = countingEngine();
    const masks: (Int32Array | undefined)[] = [];
    const sampler: Generation["sampler"] = {
      next(logits, _, mask) {
        masks.push(mask);
        return greedy.next(logits);
      },
    };
    const config = { ...plan.base.config, unused: [[5, 6] as [number, number]] };
    const padded = { ...plan, base: { ...plan.base, config } };
    for (const own of [padded, plan]) {
      const { generation, done } = collector(3, 1, { plan: own, sampler });
      createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
      await done;
    }
    expect(masks.map((mask) => mask?.[0])).toEqual([~(1 << 5), undefined]);
  });

  it("ends at an end token without delivering it", async () => {
    const { engine } = countingEngine();
    const { generation, tokens, end, done } = collector(3, 9, { endIds: [5] });
    createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
    await done;
    expect(tokens).toEqual([3, 4]);
    expect(end).toHaveBeenCalledExactlyOnceWith("stop");
  });

  it("tells how likely the prompt's tokens were, and draws what comes after the last", async () => {
    const { engine, batches } = countingEngine();
    const rows: number[] = [];
    const { generation, tokens, done } = collector(6, 1, {
      promptIds: [9, 1, 5, 3, 4, 8],
      promptLikelihoods: 0,
      onPrompt: (some) => void rows.push(...some),
    });
    createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
    await done;
    // The engine says -|target - its position|.
    expect(rows).toEqual([-0, -3, -0, -0, -3]);
    expect(tokens).toEqual([6]);
    expect(batches.flat().map((input) => [input.tokens, input.logits])).toEqual([
      [[9, 1, 5, 3], { targets: [1, 5, 3, 4], top: 0 }],
      [[4], { targets: [8], top: 0 }],
      [[8], "last"],
    ]);
  });

  it.each([1, 2, 5, 6])("ends with the likelihoods of a prompt of %i when no token is wanted", async (length) => {
    const { engine, open } = countingEngine();
    const rows: number[] = [];
    const onPrompt = (some: Float32Array) => void rows.push(...some);
    const { generation, tokens, end, done } = collector(length, 0, { promptLikelihoods: 0, onPrompt });
    createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
    await done;
    await settle();
    expect(rows).toHaveLength(length - 1);
    expect(tokens).toEqual([]);
    expect(end).toHaveBeenCalledExactlyOnceWith("length");
    expect(open()).toBe(0);
  });

  it("ends a prompt whose likelihoods are not numbers with an error", async () => {
    const { engine, open } = countingEngine();
    const { generation, error, done } = collector(3, 1, { promptIds: [1, 63, 2], promptLikelihoods: 0 });
    createBatcher({ engine, pace, maxRunning: 4 }).submit(generation);
    await done;
    await settle();
    expect(error.mock.calls[0]?.[0]).toMatchObject({ code: "not_finite" });
    expect(open()).toBe(0);
  });

  it("goes on from what is there of a prompt, and shares prompts and replies but never what failed", async () => {
    const { engine, batches } = countingEngine();
    const shared: number[] = [];
    const cached: number[] = [];
    const opened = engine.open;
    engine.open = async (...args) => {
      const sequence = await opened(...args);
      return Object.assign(sequence, {
        reuse(ids: readonly number[]) {
          (sequence as { length: number }).length = Math.min(5, ids.length - 1);
          return new Float32Array(0);
        },
        share: () => void shared.push(sequence.length),
      });
    };
    const batcher = createBatcher({ engine, pace, maxRunning: 4 });
    const sound = collector(8, 3, { onStart: (tokens) => void cached.push(tokens) });
    batcher.submit(sound.generation);
    await sound.done;
    await settle();
    expect(cached).toEqual([5]);
    expect(batches.flat().map((input) => input.tokens.length)).toEqual([3, 1, 1]);
    expect(shared).toEqual([8, 10]);
    const failing = collector(8, 3, {
      sampler: {
        next(logits, position) {
          if (position === 9) throw new Error("no token");
          return greedy.next(logits);
        },
      },
    });
    batcher.submit(failing.generation);
    await failing.done;
    await settle();
    expect(failing.error).toHaveBeenCalledOnce();
    expect(shared).toEqual([8, 10, 8]);
  });

  it("goes on decoding while another prompt goes in chunk by chunk", async () => {
    const { engine, batches } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 4 });
    const short = collector(1, 30);
    const long = collector(16, 1);
    batcher.submit({
      ...short.generation,
      onToken(id) {
        if (short.tokens.length === 0) batcher.submit(long.generation);
        return short.generation.onToken(id);
      },
    });
    await Promise.all([short.done, long.done]);
    const mixed = batches.filter((batch) => batch.length === 2);
    expect(mixed.length).toBeGreaterThanOrEqual(4);
    for (const batch of mixed) expect(batch[0]?.tokens).toHaveLength(1);
    expect(short.tokens).toHaveLength(30);
  });

  /** An engine whose first steps end when the test lets them, and that appends nothing when the pace throws. */
  function gated(count: number) {
    const counting = countingEngine();
    const gates = Array.from({ length: count }, () => Promise.withResolvers<void>());
    let begun = 0;
    const engine: Engine = {
      ...counting.engine,
      async step(batch, pace) {
        await gates[begun++]?.promise;
        await pace(1);
        return counting.engine.step(batch, pace);
      },
    };
    /** Waits until a step has begun. */
    const underWay = (n: number) => vi.waitFor(() => expect(begun).toBe(n));
    return { ...counting, engine, gates, underWay };
  }
  /** What each step was of: prompts by their first id, tokens as "t". */
  const told = (batches: ReturnType<typeof countingEngine>["batches"], names: Record<number, string>): string[] =>
    batches.map((batch) => batch.map(({ tokens }) => (tokens.length > 1 ? names[tokens[0] as number] : "t")).join(" "));

  it("breaks a prompt's step off for one that hurries more, once, and goes on with it as if nothing had been", async () => {
    const { engine, batches, gates, underWay } = gated(2);
    let clock = 0;
    const batcher = createBatcher({ engine, pace, maxRunning: 4, now: () => clock });
    const order: string[] = [];
    const named = (name: string, id: number, length: number, allowed?: Generation["allowed"]) =>
      collector(length, 2, {
        promptIds: Array.from({ length }, () => id),
        allowed,
        onEnd: () => void order.push(name),
      });
    const slow = named("slow", 1, 6);
    batcher.submit(slow.generation);
    await underWay(1);
    clock = 10;
    batcher.submit(named("hurried", 2, 4, { latencyMs: 500 }).generation);
    gates[0]?.resolve();
    await underWay(2);
    batcher.submit(named("more", 3, 4, { ttftMs: 100 }).generation);
    gates[1]?.resolve();
    await vi.waitFor(() => expect(order).toHaveLength(3));
    const names = { 1: "slow", 2: "hurried", 3: "more" };
    // The first token of `more` is due first; then nothing hurries it.
    expect(told(batches, names)).toEqual(["more", "hurried", "t", "slow t", "slow", "t"]);
    expect(order).toEqual(["hurried", "more", "slow"]);
    expect(slow.tokens).toEqual([6, 7]);
  });

  it("lets those that do not hurry have a turn now and then, and what is late hurries no more", async () => {
    const { engine, batches } = countingEngine();
    let clock = 0;
    const tick = () => {
      clock += 100;
      return undefined;
    };
    const batcher = createBatcher({ engine, pace: tick, maxRunning: 4, now: () => clock });
    const hurried = collector(1, 60, { allowed: { latencyMs: 4000 } });
    const patient = collector(1, 60);
    batcher.submit(hurried.generation);
    batcher.submit(patient.generation);
    await Promise.all([hurried.done, patient.done]);
    const owners = [...new Set(batches.flat().map(({ sequence }) => sequence))];
    const turns = batches
      .map((batch) => batch.map(({ sequence }) => "hp"[owners.indexOf(sequence)]).join(""))
      .join(" ");
    // A step takes 100 ms: those that do not hurry wait for 1,000 ms, and the deadline of 4,000 ms is over after the 41st step.
    const hurries = (count: number) => Array.from({ length: count }, () => "h");
    const before = [...hurries(11), "p", ...hurries(11), "p", ...hurries(11), "p", ...hurries(5)];
    const left = 60 - before.filter((turn) => turn === "h").length;
    const together = Array.from({ length: left }, () => "hp");
    const after = Array.from({ length: 60 - 3 - left }, () => "p");
    expect(turns).toBe([...before, ...together, ...after].join(" "));
    expect(hurried.tokens).toHaveLength(60);
    expect(patient.tokens).toHaveLength(60);
  });

  it("keeps no place from what hurries, and gives it to what hurries most", async () => {
    const { engine, gates, underWay } = gated(1);
    const batcher = createBatcher({ engine, pace, maxRunning: 1 });
    const order: string[] = [];
    const submit = (name: string, allowed?: Generation["allowed"]) =>
      batcher.submit(collector(2, 3, { allowed, onEnd: () => void order.push(name) }).generation);
    submit("first");
    await underWay(1);
    submit("patient");
    submit("hurried", { latencyMs: 4000 });
    submit("more", { latencyMs: 3000 });
    gates[0]?.resolve();
    await vi.waitFor(() => expect(order).toEqual(["more", "hurried", "first", "patient"]));
  });

  it("switches a generation's plan before a step, and tells how many tokens came before", async () => {
    const { engine, switched } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 1 });
    const lighter = { ...plan, id: "lighter" };
    const switches: Promise<number>[] = [];
    const first = collector(1, 9);
    const submitted = batcher.submit({
      ...first.generation,
      onToken(id) {
        if (first.tokens.length === 2) switches.push(submitted.switchPlan(lighter));
        return first.generation.onToken(id);
      },
    });
    const queued = collector(1, 2);
    switches.push(batcher.submit(queued.generation).switchPlan({ ...plan, id: "other" }));
    await Promise.all([first.done, queued.done]);
    expect(await Promise.all(switches)).toEqual([0, 3]);
    expect(switched).toEqual(["lighter", "other"]);
    expect(first.tokens).toHaveLength(9);
    await expect(submitted.switchPlan(lighter)).rejects.toThrow("over");
  });

  it("makes more than maxRunning wait, first come first served", async () => {
    const { engine } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 2 });
    const order: number[] = [];
    const all = [0, 1, 2, 3, 4].map((n) => collector(2, 3, { onEnd: () => void order.push(n) }));
    for (const { generation } of all) batcher.submit(generation);
    await scheduler.wait(0);
    expect(batcher.running).toBe(2);
    expect(batcher.queued).toBe(3);
    await vi.waitFor(() => expect(order).toEqual([0, 1, 2, 3, 4]));
  });

  it("waits for memory while something runs, and fails at once when nothing does", async () => {
    const tight = countingEngine({ places: 1 });
    const batcher = createBatcher({ engine: tight.engine, pace, maxRunning: 4 });
    const [first, second] = [collector(1, 3), collector(1, 3)];
    batcher.submit(first.generation);
    batcher.submit(second.generation);
    await Promise.all([first.done, second.done]);
    expect(second.tokens).toHaveLength(3);

    const none = countingEngine({ places: 0 });
    const refused = collector(1, 3);
    createBatcher({ engine: none.engine, pace, maxRunning: 4 }).submit(refused.generation);
    await refused.done;
    expect(refused.error).toHaveBeenCalledExactlyOnceWith(new EngineError("out_of_memory", "full"));
  });

  it("stops within a step when cancelled, queued or running, and closes the sequence", async () => {
    const { engine, batches, open } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 1 });
    const running = collector(1, 1e9, { endIds: [] });
    const queued = collector(1, 1e9, { endIds: [] });
    const runningOne = batcher.submit(running.generation);
    const queuedOne = batcher.submit(queued.generation);
    await vi.waitFor(() => expect(running.tokens.length).toBeGreaterThan(3));
    const steps = batches.length;
    queuedOne.cancel();
    runningOne.cancel();
    await settle();
    expect(batches.length - steps).toBeLessThanOrEqual(1);
    expect(open()).toBe(0);
    expect(queued.tokens).toEqual([]);
    expect(running.end).not.toHaveBeenCalled();
  });

  it("pauses a sequence whose receiver is behind, without holding up the others", async () => {
    const { engine } = countingEngine();
    const batcher = createBatcher({ engine, pace, maxRunning: 4 });
    const gate = Promise.withResolvers<void>();
    const slow: number[] = [];
    const behind = collector(1, 5, {
      onToken({ id }) {
        slow.push(id);
        return slow.length === 2 ? gate.promise : undefined;
      },
    });
    const other = collector(1, 20);
    batcher.submit(behind.generation);
    batcher.submit(other.generation);
    await other.done;
    expect(slow).toHaveLength(2);
    gate.resolve();
    await behind.done;
    expect(slow).toHaveLength(5);
  });

  it("drops a sequence whose receiver has gone", async () => {
    const { engine, open } = countingEngine();
    const gone = collector(1, 50, { onToken: () => Promise.reject(new Error("gone")) });
    createBatcher({ engine, pace, maxRunning: 4 }).submit(gone.generation);
    await settle();
    expect(open()).toBe(0);
    expect(gone.end).not.toHaveBeenCalled();
    expect(gone.error).not.toHaveBeenCalled();
  });

  it("tells each of a failed step and goes on with the next", async () => {
    const { engine } = countingEngine();
    const failing: Engine = {
      ...engine,
      step: (batch, pace) =>
        batch.some((input) => input.tokens.includes(9))
          ? Promise.reject(new Error("broken"))
          : engine.step(batch, pace),
    };
    const batcher = createBatcher({ engine: failing, pace, maxRunning: 1 });
    const bad = collector(1, 3, { promptIds: [9] });
    const good = collector(1, 3);
    batcher.submit(bad.generation);
    batcher.submit(good.generation);
    await Promise.all([bad.done, good.done]);
    expect(bad.error).toHaveBeenCalledOnce();
    expect(good.tokens).toHaveLength(3);
  });
});
