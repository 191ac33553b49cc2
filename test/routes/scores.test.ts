import { beforeAll, describe, expect, it } from "vitest";
import type { Scoreboard } from "../../src/monitor/index.ts";
import { choosing, recordedHellaswag, setUp, VARIANTS } from "../monitor/setup.ts";
import { end, errorOf, testGateway, tokens } from "./gateway.ts";

const [base, pruned] = VARIANTS;
let scores: Scoreboard;

beforeAll(async () => {
  const monitor = await setUp({
    recorded: [recordedHellaswag(base), recordedHellaswag(pruned)],
    settings: { itemsPerSlice: 20 },
    measure: choosing(({ variant }) => (variant === pruned ? 2 : 0)),
  });
  for (let i = 0; i < 4; i++) await monitor.slice();
  scores = monitor.restart();
});

const get = async <T>(path: string, board = scores): Promise<T> => {
  const response = await testGateway([], { scores: board }).fetch(path);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
};
interface Score {
  variant: string;
  task: string;
  kind: string;
}
const names = (list: readonly Score[]) => list.map(({ variant, task, kind }) => `${variant} ${task} ${kind}`).sort();

describe("GET /v1/scores", () => {
  it("lists recorded and served scores with what they were measured of, on and with", async () => {
    const { data, served } = await get<{ data: Score[]; served: boolean }>("/v1/scores");
    expect(served).toBe(true);
    expect(names(data)).toEqual(
      VARIANTS.flatMap((variant) => [
        `${variant} hellaswag recorded`,
        `${variant} hellaswag served`,
        `${variant} wiki-heldout served`,
      ]).sort(),
    );
    const measured = { items: 20, total: 20, failed: 0, compared: 20 };
    expect(data.find(({ variant, kind }) => variant === pruned && kind === "served")).toMatchObject({
      task: "hellaswag",
      ...measured,
      discordant: 20,
      command: null,
      digests: { variant: expect.stringMatching(/^[0-9a-f]{64}$/), engine: "d1" },
      metrics: { acc_norm: { value: expect.any(Number), stderr: expect.any(Number) } },
    });
    expect(data.find(({ variant, kind }) => variant === base && kind === "recorded")).toMatchObject({
      items: 1000,
      command: "npm run eval",
      measured_at: "2026-01-01T00:00:00.000Z",
      metrics: { acc: { value: 0.25, stderr: 0.01 } },
    });
  });

  it("filters by variant and task", async () => {
    const { data } = await get<{ data: Score[] }>(`/v1/scores?variant=${base}&task=hellaswag`);
    expect(names(data)).toEqual([`${base} hellaswag recorded`, `${base} hellaswag served`]);
    expect((await get<{ data: Score[] }>("/v1/scores?task=triviaqa")).data).toEqual([]);
  });

  it("names a filter that is nothing there is, and needs a key", async () => {
    const { fetch } = testGateway([], { scores });
    const unknown = await fetch("/v1/scores?variant=gpt-9");
    expect(unknown.status).toBe(404);
    expect(await errorOf(unknown)).toMatchObject({ code: "model_not_found", param: "variant" });
    const task = await fetch("/v1/scores?task=squad");
    expect(task.status).toBe(400);
    expect(await errorOf(task)).toMatchObject({ code: "invalid_value", param: "task" });
    expect((await errorOf(await fetch("/v1/scores?task=squad"))).message).toContain("hellaswag");
    expect((await fetch("/v1/scores", { headers: { authorization: "" } })).status).toBe(401);
  });

  it("still tells the recorded scores without a database, and says that the served ones are missing", async () => {
    const { served, data } = await get<{ served: boolean; data: Score[] }>("/v1/scores", withoutDatabase());
    expect(served).toBe(false);
    expect(names(data)).toEqual([`${base} hellaswag recorded`, `${pruned} hellaswag recorded`]);
  });
});

/** The same scoreboard where D1 is away. */
const withoutDatabase = (): Scoreboard => ({
  ...scores,
  served: async () => undefined,
  loadQuarantines: async () => new Map(),
});

interface Described {
  id: string;
  digest: string;
  recipe: { id: string; slots: unknown[] };
  plan: { kv_slots: number; weight_bytes: number };
  health: { state: string; reason: string | null; since: string | null };
  scores: Score[];
}

describe("GET /v1/variants", () => {
  it("lists all with recipe, costs, scores and health", async () => {
    const { data } = await get<{ data: Described[] }>("/v1/variants");
    expect(data).toHaveLength(36);
    const one = data.find(({ id }) => id === pruned)!;
    expect(one).toEqual(await get(`/v1/variants/${pruned}`));
    expect(one.recipe.slots).toHaveLength(30);
    expect(one.plan.kv_slots).toBe(25);
    expect(names(one.scores)).toEqual([
      `${pruned} hellaswag recorded`,
      `${pruned} hellaswag served`,
      `${pruned} wiki-heldout served`,
    ]);
    expect(one.health).toEqual({
      state: "quarantined",
      reason: "20 of 20 items of hellaswag do not give the recorded result",
      since: expect.stringMatching(/^2027-/),
    });
    expect(data.find(({ id }) => id === base)?.health).toEqual({ state: "healthy", reason: null, since: null });
    const same = (id: string) => data.find((variant) => variant.id === id)?.digest;
    expect(same("smollm2-135m-franken-baseline")).toBe(same(base));
  });

  it("names a variant that does not exist", async () => {
    const response = await testGateway([], { scores }).fetch("/v1/variants/gpt-9");
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ code: "model_not_found", param: "id" });
  });
});

describe("GET /v1/models", () => {
  it("carries each model's scores and health in its metadata", async () => {
    type Model = { id: string; metadata: { scores: { task: string; kind: string; items: number }[]; health: object } };
    const { data } = await get<{ data: Model[] }>("/v1/models");
    const one = data.find(({ id }) => id === base)!;
    expect(one).toEqual(await get(`/v1/models/${base}`));
    expect(one.metadata.scores.map(({ task, kind, items }) => [task, kind, items])).toEqual([
      ["hellaswag", "recorded", 1000],
      ["hellaswag", "served", 20],
      ["wiki-heldout", "served", 12],
    ]);
    expect(one.metadata.health).toMatchObject({ state: "healthy" });
    expect(data.find(({ id }) => id === "smollm2-135m-mlp-drop-2")?.metadata.scores).toEqual([]);
  });
});

describe("a chat completion of a quarantined variant", () => {
  const chat = (model: string, stream: boolean, board = scores) =>
    testGateway([...tokens([504]), end], { scores: board }).chat({ model, stream });

  it.each([false, true])("is answered, with a warning (streamed: %s)", async (stream) => {
    const response = await chat(pruned, stream);
    expect(response.status).toBe(200);
    expect(response.headers.get("x-franken-warning")).toBe(
      `${pruned} is quarantined: 20 of 20 items of hellaswag do not give the recorded result`,
    );
    expect(response.headers.get("access-control-expose-headers")).toContain("x-franken-warning");
    await response.text();
    const other = await chat(base, stream);
    expect(other.headers.get("x-franken-warning")).toBeNull();
    await other.text();
  });

  it("is answered without a database, at once", async () => {
    const response = await chat(pruned, false, withoutDatabase());
    expect(response.status).toBe(200);
    expect(response.headers.get("x-franken-warning")).toBeNull();
  });
});
