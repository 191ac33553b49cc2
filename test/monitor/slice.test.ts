import { afterEach, describe, expect, it } from "vitest";
import { monitorSettings } from "../../src/config.ts";
import { ready } from "../routes/gateway.ts";
import { env } from "../support/database.ts";
import { choosing, HELLASWAG, setUp, VARIANTS } from "./setup.ts";

afterEach(async () => {
  for (const table of ["items", "scores", "quarantine"]) await env.DB.exec(`DELETE FROM ${table}`);
});

interface Run {
  variant: string;
  task: string;
  number: number;
  items: number;
  finished: number;
}
const RUNS = "SELECT variant, task, number, items, finished FROM scores ORDER BY measured_at";

describe("a slice", () => {
  it("measures a few items of the sample, in its order, as token ids, and keeps each result", async () => {
    const { slice, asked, rows } = await setUp();
    await slice();
    expect(asked.map(({ variant }) => variant)).toEqual(Array(5).fill(VARIANTS[0]));
    const [request] = asked[0]?.requests ?? [];
    expect(request).toMatchObject({ type: "likelihood", context: expect.arrayContaining([expect.any(Number)]) });
    expect(request?.type === "likelihood" && request.continuations).toHaveLength(4);
    const items = await rows<{ item: number; result: string; error: null }>("SELECT * FROM items ORDER BY measured_at");
    expect(items.map(({ item }) => item)).toEqual([3, 13, 23, 33, 43]);
    expect(JSON.parse(items[0]?.result ?? "")).toMatchObject({ choice: 0, logLikelihoods: [-1, -999, -999, -999] });
    expect(await rows("SELECT * FROM scores")).toMatchObject([
      {
        variant: VARIANTS[0],
        engine: "stand-in",
        engine_digest: "d1",
        task: "hellaswag",
        data_digest: HELLASWAG,
        items: 5,
        total: 20,
        failed: 0,
        compared: 0,
        discordant: 0,
        finished: 0,
      },
    ]);
  });

  it("goes to the run that is furthest behind, so that all variants advance together", async () => {
    const { slice, rows } = await setUp({ settings: { itemsPerSlice: 10 } });
    for (let i = 0; i < 4; i++) await slice();
    expect((await rows<Run>(RUNS)).map(({ variant, task }) => `${variant} ${task}`)).toEqual(
      VARIANTS.flatMap((variant) => [`${variant} hellaswag`, `${variant} wiki-heldout`]),
    );
  });

  it("finishes a run with one line in the log, its metrics the mean of its items, and begins the next one", async () => {
    const { slice, rows, logged } = await setUp({ settings: { itemsPerSlice: 3, itemsPerRun: 5 } });
    for (let i = 0; i < 8; i++) await slice();
    const finished = await rows<Run & { metrics: string; id: string }>("SELECT * FROM scores WHERE finished = 1");
    expect(finished).toHaveLength(4);
    const lines = logged.filter(({ event }) => event === "scores");
    expect(lines).toHaveLength(4);
    const score = finished.find(({ task, variant }) => task === "hellaswag" && variant === VARIANTS[0])!;
    expect(lines).toContainEqual({
      event: "scores",
      variant: VARIANTS[0],
      variant_digest: expect.stringMatching(/^[0-9a-f]{64}$/),
      engine: "stand-in",
      engine_digest: "d1",
      task: "hellaswag",
      data_digest: HELLASWAG,
      items: 5,
      failed: 0,
      compared: 0,
      discordant: 0,
      metrics: JSON.parse(score.metrics),
      ms: expect.any(Number),
    });
    const items = await rows<{ result: string }>(`SELECT result FROM items WHERE run = '${score.id}'`);
    const accuracies = items.map(({ result }) => JSON.parse(result).acc as number);
    expect(accuracies).toHaveLength(5);
    expect(JSON.parse(score.metrics).acc.value).toBeCloseTo(accuracies.reduce((a, b) => a + b) / 5, 12);
    await slice();
    expect((await rows<Run>(RUNS)).at(-1)).toEqual({
      variant: VARIANTS[0],
      task: "hellaswag",
      number: 1,
      items: 3,
      finished: 0,
    });
  });

  it("goes on at the item where the one before was cut off, or gave way", async () => {
    let left = 2;
    const all = choosing(() => 1);
    const { slice, rows, asked } = await setUp({
      measure: (request) => (left-- > 0 ? all(request) : { state: "busy" }),
    });
    await slice();
    expect(await rows("SELECT item FROM items")).toHaveLength(2);
    left = 100;
    // The furthest behind are the others now.
    for (let i = 0; i < 4; i++) await slice();
    const mine = await rows<{ item: number }>(
      "SELECT item FROM items WHERE run = (SELECT id FROM scores WHERE variant = 'smollm2-135m' AND task = 'hellaswag') ORDER BY measured_at",
    );
    expect(mine.map(({ item }) => item)).toEqual([3, 13, 23, 33, 43, 53, 63]);
    expect(asked.length).toBe(new Set(asked.map((request) => JSON.stringify(request))).size + 1);
  });

  it("counts items that give no result as failed, and goes on", async () => {
    const { slice, rows } = await setUp({
      measure: () => ({ state: "failed", engine: "wasm", digest: "d1", message: "logits are not finite" }),
    });
    await slice();
    expect(await rows("SELECT result, error FROM items")).toEqual(
      Array(5).fill({ result: null, error: "logits are not finite" }),
    );
    expect(await rows("SELECT items, failed, metrics FROM scores")).toEqual([{ items: 5, failed: 5, metrics: "{}" }]);
  });

  it("begins anew for another engine, and stops when it changes under way", async () => {
    let digest = "d1";
    const { slice, rows } = await setUp({
      status: () => ({ ...ready, digest }),
      measure: (request) => ({ ...choosing(() => 0)(request), digest }) as never,
    });
    await slice();
    digest = "d2";
    await slice();
    expect(await rows("SELECT engine_digest, items FROM scores ORDER BY measured_at")).toEqual([
      { engine_digest: "d1", items: 5 },
      { engine_digest: "d2", items: 5 },
    ]);
    const changing = await setUp({ measure: (request) => ({ ...choosing(() => 0)(request), digest: "d3" }) as never });
    await changing.slice();
    expect(await rows("SELECT * FROM scores WHERE engine_digest = 'd3'")).toEqual([]);
  });

  it.each([
    ["while something is generated", { status: () => ({ ...ready, running: 1 }) }],
    ["while something waits", { status: () => ({ ...ready, queued: 1 }) }],
    ["when it is switched off", { settings: { itemsPerSlice: 0 } }],
  ])("does nothing %s", async (_, options) => {
    const { slice, asked, logged } = await setUp(options);
    await slice();
    expect(asked).toEqual([]);
    expect(logged).toEqual([]);
  });

  it("says in the log why it could not measure, and tries again the next time", async () => {
    let away = true;
    const { slice, logged, rows } = await setUp({
      measure(request) {
        if (away) throw new Error("the replica is gone");
        return choosing(() => 0)(request);
      },
    });
    await slice();
    expect(logged).toEqual([{ event: "measuring_failed", message: "the replica is gone" }]);
    away = false;
    await slice();
    expect(await rows("SELECT * FROM items")).toHaveLength(5);
    const mistaken = await setUp({ settings: () => monitorSettings({ SCORES_NULL_RATE: "2" }) });
    await mistaken.slice();
    expect(mistaken.logged[0]?.message).toContain("SCORES_NULL_RATE is 2");
    const broken = await setUp({ status: () => ({ ...ready, state: "failed", error: "no weights" }) });
    await broken.slice();
    expect(broken.logged[0]?.message).toContain("no weights");
  });
});
