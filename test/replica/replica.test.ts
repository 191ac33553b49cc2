// The replica's Durable Object on a real engine, with a base and a student of it that share one memory.
import { env, runInDurableObject } from "cloudflare:test";
import { beforeAll, describe, expect, it, vi } from "vitest";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { mulberry32 } from "../../evaluation/random.ts";
import { type Frame, frameSchema, type GenerateRequest, type Replica } from "../../src/replica/protocol.ts";
import { slotRecipeSchema } from "../../src/variants/recipe.ts";
import { base, files, student } from "../engine/wasm/weight-sets.ts";

const { LIMITER } = env as unknown as { LIMITER: DurableObjectNamespace };
const recipe = (id: string, slots: object[]) =>
  slotRecipeSchema.parse({
    id,
    base: base.id,
    title: id,
    origin: { source: "a test", section: "none" },
    status: "experimental",
    slots,
  });
const catalogue = {
  bases: [base, student],
  recipes: [
    recipe("whole", [{ layer: 0 }, { layer: 1 }, { layer: 2 }]),
    recipe("student-2", [{ layer: 0 }, { layer: 1 }]),
    recipe("student-1", [{ layer: 1 }]),
  ],
  onnx: {},
  weightSets: { "student-2": student.id, "student-1": student.id },
};
const ROOMY = { MEMORY_CEILING_MIB: "8", ISOLATE_CEILING_MIB: "64", SHADOW_SHARE: "1000" };

/** Of other objects, which the runtime wants to see; of these only the ids are used. */
const states = new Map<string, DurableObjectState>();
beforeAll(async () => {
  for (const name of [base.id, student.id]) {
    await runInDurableObject(LIMITER.getByName(name), (_, state) => void states.set(name, state));
  }
});

/** An isolate of its own, and its Durable Objects. @param loadMs that a file takes */
async function isolate(vars: object = ROOMY, loadMs = 0) {
  vi.resetModules();
  const { createReplicaClass } = await import("../../src/replica/replica-object.ts");
  const { createWasmEngine } = await import("../../src/engine/wasm/index.ts");
  let engines = 0;
  const Class = createReplicaClass(catalogue, {
    load(options) {
      engines++;
      return createWasmEngine({ ...options, modules: { relaxed, plain } });
    },
    paceMultiplyAdds: 200_000,
    holdsMany: true,
  });
  const WEIGHTS = {
    async fetch(url: string) {
      await scheduler.wait(loadMs);
      return new Response(files.get(new URL(url).pathname.slice(1))?.slice());
    },
  };
  const objectOf = (name: string): Replica =>
    new Class(states.get(name) as DurableObjectState, { ...vars, WEIGHTS } as never);
  return { objectOf, engines: () => engines };
}

let generations = 0;
const request = (variant: string, more: Partial<GenerateRequest> = {}): GenerateRequest => ({
  id: `gen_${generations++}`,
  requestId: "r",
  variant,
  promptIds: [5, 17, 33, 90, 4],
  maxTokens: 6,
  temperature: 0,
  topP: 1,
  seed: 1,
  deadlineMs: 20_000,
  ...more,
});

async function framesOf(stream: ReadableStream<Uint8Array>): Promise<Frame[]> {
  const text = await new Response(stream).text();
  return text
    .trim()
    .split("\n")
    .map((line) => frameSchema.parse(JSON.parse(line)))
    .filter(({ type }) => type !== "wait" && type !== "status");
}
const idsOf = (frames: readonly Frame[]) => frames.flatMap((frame) => (frame.type === "token" ? [frame.id] : []));
const untilLoaded = (replica: Replica, ...sets: string[]) =>
  vi.waitFor(async () => {
    for (const id of sets) expect((await replica.status(id)).state).toBe("ready");
  });

describe("a replica whose memory has room for two weight sets", () => {
  it("loads both when it is asked how the first one stands, and tells of both", async () => {
    const { objectOf, engines } = await isolate();
    const replica = objectOf("tiny");
    expect(await replica.status("student", false)).toMatchObject({ state: "idle", weights: ["tiny", "student"] });
    await replica.status("tiny");
    await untilLoaded(replica, "tiny", "student");
    const both = await Promise.all(["tiny", "student"].map((id) => replica.status(id)));
    expect(both[1]).toEqual(both[0]);
    expect(Object.keys(both[0]?.capacities ?? {})).toEqual(["whole", "student-2", "student-1"]);
    expect(engines()).toBe(1);
  });

  it("answers for both at once with the tokens of each alone, and switches between variants of one", async () => {
    const { objectOf } = await isolate();
    const replica = objectOf("tiny");
    const alone: number[][] = [];
    for (const variant of ["whole", "student-2"]) {
      const { objectOf } = await isolate({});
      alone.push(idsOf(await framesOf(await objectOf(base.id).generate(request(variant)))));
    }
    const streams = await Promise.all(["whole", "student-2"].map((variant) => replica.generate(request(variant))));
    expect((await Promise.all(streams.map(framesOf))).map(idsOf)).toEqual(alone);
    expect(alone[0]).not.toEqual(alone[1]);

    const long = request("student-2", { maxTokens: 200 });
    const stream = await replica.generate(long);
    await vi.waitFor(async () => expect((await replica.status("student")).running).toBe(1));
    expect(await replica.switchVariant(long.id, "whole")).toBe(false);
    const reader = framesOf(stream);
    expect(await replica.switchVariant(long.id, "student-1")).toBe(true);
    expect(await reader).toContainEqual({ type: "variant", id: "student-1", fromToken: expect.any(Number) });
  });

  it("compares their variants with each other", async () => {
    const { objectOf } = await isolate();
    const replica = objectOf("tiny");
    await framesOf(await replica.generate(request("whole", { maxTokens: 200 })));
    const compared = await vi.waitFor(async () => {
      const reply = await replica.compare({
        requestId: "r",
        reference: "whole",
        variant: "student-2",
        promptIds: [5, 6],
        replyIds: [7, 8],
      });
      expect(reply.state).toBe("compared");
      return reply;
    });
    expect(compared).toMatchObject({ tokens: 2, kl: expect.any(Number) });
    const { objectOf: narrow } = await isolate({});
    expect(
      await narrow("tiny").compare({
        requestId: "r",
        reference: "whole",
        variant: "student-2",
        promptIds: [5],
        replyIds: [7],
      }),
    ).toMatchObject({ state: "failed", message: expect.stringContaining("share no memory") });
  });

  it("goes on answering for both while it is measured and loads, from its first moment on", async () => {
    const random = mulberry32(1);
    for (let round = 0; round < 4; round++) {
      const { objectOf } = await isolate(ROOMY, 1);
      const replica = objectOf("tiny");
      let over = false;
      const states = new Set<string>();
      const measuring = ["whole", "student-2"].map(async (variant) => {
        const requests = [{ type: "likelihood" as const, context: [5, 6, 7], continuations: [[8, 9], [10]] }];
        while (!over) {
          states.add((await replica.measure({ variant, requests })).state);
          await scheduler.wait(0);
        }
      });
      const asked = Array.from({ length: 16 }, async (_, i) => {
        await scheduler.wait(60 * random());
        const variant = ["whole", "student-2", "student-1"][i % 3] as string;
        const stream = await replica.generate(request(variant, { scope: `client ${i % 2}`, background: i % 5 === 0 }));
        if (i % 7 === 3) return stream.cancel();
        expect((await framesOf(stream)).at(-1)).toMatchObject({ type: "end" });
      });
      await Promise.all(asked);
      await vi.waitFor(() => expect([...states].toSorted()).toEqual(["busy", "measured"]));
      over = true;
      await Promise.all(measuring);
      expect(await replica.status("student")).toMatchObject({ state: "ready", queued: 0, running: 0 });
    }
  });
});

describe("a replica whose memory has room for one", () => {
  it("leaves the other to a Durable Object of its own", async () => {
    const { objectOf, engines } = await isolate({});
    const [first, own] = [objectOf("tiny"), objectOf("student")];
    await untilLoaded(first, "tiny");
    expect(await first.status("tiny")).toMatchObject({ weights: ["tiny"], capacities: { whole: expect.any(Number) } });
    await framesOf(await own.generate(request("student-1")));
    const status = await own.status("student");
    expect(status.weights).toEqual(["student"]);
    expect(Object.keys(status.capacities ?? {})).toEqual(["student-2", "student-1"]);
    expect(engines()).toBe(2);
  });
});
