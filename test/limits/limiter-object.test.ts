import { abortAllDurableObjects, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import type { LimiterObject } from "../../src/limits/limiter-object.ts";

const namespace = (env as unknown as { LIMITER: DurableObjectNamespace<LimiterObject> }).LIMITER;

const take = async (key: string) =>
  (await namespace.getByName(key).take({ requests: 2 }, { requests: 1, tokens: 0 })).refused?.kind;

test("all isolates take from the same buckets of a key, and each key has its own", async () => {
  expect([await take("a"), await take("a"), await take("a")]).toEqual([undefined, undefined, "requests"]);
  expect(await take("b")).toBeUndefined();
});

test("what was taken is remembered by the object's next life", async () => {
  await take("c");
  await take("c");
  await runInDurableObject(namespace.getByName("c"), (_, state) => state.storage.sync());
  await abortAllDurableObjects();
  expect(await take("c")).toBe("requests");
});
