import { describe, expect, it, vi } from "vitest";
import type { Engine } from "../../src/engine/types.ts";
import type { EngineKind, Place, ReplicaEnv } from "../../src/replica/engine.ts";
import * as replica from "../../src/replica/engine.ts";
import { replicaSettings } from "../../src/replica-settings.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import { tinyBase } from "../support/base.ts";

const MIB = 2 ** 20;
const loads: string[] = [];
const kind: EngineKind = {
  async load({ base }) {
    loads.push(base.id);
    return { residentBytes: () => base.imageBytes } as Engine;
  },
  paceMultiplyAdds: 1,
};
const env = { ISOLATE_CEILING_MIB: "10" } as ReplicaEnv;
const file = (name: string, mebibytes: number) => ({ file: name, sha256: name, bytes: mebibytes * MIB });
const weights = (id: string, mebibytes: number): BaseModel => ({
  ...tinyBase(),
  id,
  tensors: [],
  imageBytes: mebibytes * MIB,
  parts: [file(id, mebibytes)],
});
const placeOf = (base: BaseModel, kind: EngineKind, env: ReplicaEnv): Place => ({
  owner: base.id,
  group: [base],
  kind,
  env,
});
const findEngine = (base: BaseModel, kind: EngineKind, env: ReplicaEnv, wake: boolean) =>
  replica.findEngine(base, placeOf(base, kind, env), wake);
const useEngine = (base: BaseModel, kind: EngineKind, env: ReplicaEnv) =>
  replica.useEngine(base, placeOf(base, kind, env));

it("lets go of idle weights where others have no room beside them, the least recently used first", async () => {
  const [a, b, c] = [weights("a", 4), weights("b", 4), weights("c", 4)];
  const has = (base: typeof a) => findEngine(base, kind, env, false) !== undefined;
  // What only asks how it stands loads what there is room for, and lets nothing go.
  await findEngine(a, kind, env, true)?.engine;
  const ofB = useEngine(b, kind, env);
  await ofB.engine;
  expect(findEngine(c, kind, env, true)).toBeUndefined();
  expect([a, b, c].map(has)).toEqual([true, true, false]);

  const ofC = useEngine(c, kind, env);
  await ofC.engine;
  expect([a, b, c].map(has)).toEqual([false, true, true]);
  // It would only come and go.
  ofC.release();
  expect(findEngine(a, kind, env, true)).toBeUndefined();

  // B is at work, so C goes, which was used later.
  const ofA = useEngine(a, kind, env);
  await ofA.engine;
  expect([a, b, c].map(has)).toEqual([true, true, false]);
  expect(() => useEngine(c, kind, env)).toThrow(
    "the weights c have no room here beside b and a, which are at work: ask again when they are done",
  );
  ofB.release();
  ofB.release();
  await useEngine(c, kind, env).engine;
  expect([a, b, c].map(has)).toEqual([true, false, true]);
  expect(loads).toEqual(["a", "b", "c", "a", "c"]);
});

it("loads weights that alone are beyond the ceiling, which the engine knows better", async () => {
  const huge = weights("huge", 20);
  for (const id of ["a", "c"]) expect(findEngine(weights(id, 4), kind, env, false)).toBeDefined();
  expect(() => useEngine(huge, kind, env)).toThrow("at work");
  const empty = {} as ReplicaEnv;
  await useEngine(huge, kind, empty).engine;
  expect(findEngine(huge, kind, empty, false)?.loaded).toBeDefined();
});

it("lets nothing go for weights that the engine refuses", async () => {
  const refusing: EngineKind = { ...kind, load: async () => Promise.reject(new Error("beyond the ceiling")) };
  const small = weights("small", 4);
  const tight = { ISOLATE_CEILING_MIB: "10", MEMORY_CEILING_MIB: "10" } as ReplicaEnv;
  const use = useEngine(small, kind, {} as ReplicaEnv);
  await use.engine;
  use.release();
  await expect(useEngine(weights("refused", 11), refusing, tight).engine).rejects.toThrow("beyond the ceiling");
  expect(findEngine(small, kind, tight, false)?.loaded).toBeDefined();
});

describe("weight sets that share a memory", () => {
  /** An isolate that holds nothing yet, and an engine whose loads a test lets go on, or fail. */
  async function isolate(isolateMib: string, sets: readonly [BaseModel, ...BaseModel[]], ownMib = "1") {
    vi.resetModules();
    const { findEngine, useEngine } = await import("../../src/replica/engine.ts");
    const steps: string[] = [];
    const failing = new Set<string>();
    let engines = 0;
    const load = async (base: BaseModel): Promise<void> => {
      steps.push(base.id);
      if (failing.has(base.id)) throw new Error(`${base.id} is damaged`);
    };
    const holding: EngineKind = {
      paceMultiplyAdds: 1,
      holdsMany: true,
      async load({ base, beside }) {
        engines++;
        await load(base);
        const bytes = 2 * MIB + beside.length * MIB;
        return { load, residentBytes: () => bytes } as Engine;
      },
    };
    const env = { ISOLATE_CEILING_MIB: isolateMib, MEMORY_CEILING_MIB: ownMib } as ReplicaEnv;
    const place: Place = { owner: "first", group: sets, kind: holding, env };
    const alone = (base: BaseModel, owner = base.id): Place => ({ ...place, owner, group: [base] });
    return { findEngine, useEngine, place, alone, steps, failing, count: () => engines };
  }
  const sets = [weights("first", 1), weights("second", 1), weights("third", 1)] as const;
  const [first, second, third] = sets;

  it("are loaded into one engine, the first one first and the others after it", async () => {
    const { findEngine, useEngine, place, steps, count } = await isolate("100", sets);
    // Whichever is asked for.
    const ofThird = useEngine(third, place);
    expect(findEngine(second, place, false)).toBeUndefined();
    const engine = await ofThird.engine;
    await vi.waitFor(() => expect(findEngine(second, place, false)?.loaded).toBe(engine));
    for (const base of sets) expect(await useEngine(base, place).engine).toBe(engine);
    expect(steps).toEqual(["first", "third", "second"]);
    expect(count()).toBe(1);
  });

  it("are each Durable Object's own", async () => {
    const { useEngine, place, alone, count } = await isolate("100", sets);
    const shared = await useEngine(second, place).engine;
    const own = await useEngine(second, alone(second)).engine;
    expect(own).not.toBe(shared);
    expect(await useEngine(second, alone(second, "a third")).engine).not.toBe(own);
    expect(count()).toBe(3);
  });

  it("do without one that is damaged, which is tried again when it is needed later", async () => {
    const { findEngine, useEngine, place, steps, failing } = await isolate("100", sets);
    vi.useFakeTimers();
    failing.add("second");
    findEngine(first, place, true);
    await vi.waitFor(() => expect(findEngine(third, place, false)?.loaded).toBeDefined());
    expect(findEngine(second, place, false)?.error?.message).toBe("second is damaged");
    await expect(useEngine(second, place).engine).rejects.toThrow("second is damaged");
    failing.clear();
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    expect(await useEngine(second, place).engine).toBe(await useEngine(first, place).engine);
    expect(steps).toEqual(["first", "second", "third", "second"]);
  });

  it("go together, and after what stands alone, where another has no room", async () => {
    const { findEngine, useEngine, place, alone } = await isolate("7", sets, "8");
    useEngine(first, place).release();
    await vi.waitFor(() => expect(findEngine(third, place, false)?.loaded).toBeDefined());
    const [a, b, c] = [weights("a", 2), weights("b", 2), weights("c", 6)];
    const has = (base: BaseModel) =>
      findEngine(base, base === a || base === b || base === c ? alone(base) : place, false);
    for (const base of [a, b]) {
      const use = useEngine(base, alone(base));
      await use.engine;
      use.release();
    }
    expect([...sets, a, b].map((base) => has(base) !== undefined)).toEqual([true, true, true, false, true]);
    const use = useEngine(third, place);
    expect(() => useEngine(c, alone(c))).toThrow("beside first, which are at work");
    use.release();
    await useEngine(c, alone(c)).engine;
    expect(sets.map(has)).toEqual([undefined, undefined, undefined]);
  });
});

it("leaves room for a weight set of its own beside those that share a memory", () => {
  const shared = (MEMORY_CEILING_MIB?: string, ISOLATE_CEILING_MIB?: string) =>
    replicaSettings({ MEMORY_CEILING_MIB, ISOLATE_CEILING_MIB }).sharedBytes / MIB;
  expect(shared("118", "1024")).toBe(1024 - 2 * 118);
  expect(shared("118", "118")).toBe(0);
  expect(shared("118")).toBe(0);
  expect(shared(undefined, "1024")).toBe(0);
});
