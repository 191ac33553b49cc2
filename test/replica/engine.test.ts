import { expect, it } from "vitest";
import type { Engine } from "../../src/engine/types.ts";
import { type EngineKind, findEngine, type ReplicaEnv, useEngine } from "../../src/replica/engine.ts";
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
const weights = (id: string, mebibytes: number) => ({ ...tinyBase(), id, imageBytes: mebibytes * MIB });

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
