import { beforeEach, describe, expect, test } from "vitest";
import type { Place } from "../../src/experiments/live/index.ts";
import { createResponseStore, type ResponseJob } from "../../src/responses/index.ts";
import { migratedDatabase } from "../support/database.ts";
import {
  BASE,
  DROP,
  definition,
  type ExperimentGateway,
  experimentGateway,
  type SetupOptions,
} from "./experiments-setup.ts";
import { errorOf, openLine, wait } from "./gateway.ts";

let gateway: ExperimentGateway;
let serial = 0;
/** A gateway with one experiment. */
async function running(more: object = {}, options: SetupOptions = {}): Promise<string> {
  gateway = await experimentGateway(options);
  const id = `t${serial++}`;
  const response = await gateway.admin("POST", "/v1/experiments", definition(id, more));
  if (!response.ok) throw new Error(await response.text());
  return id;
}
beforeEach(async () => {
  const all = await experimentGateway();
  for (const { spec } of await all.experiments.store.list()) await all.admin("DELETE", `/v1/experiments/${spec.id}`);
});

const USERS = Array.from({ length: 12 }, (_, i) => `user-${i}`);
const armOf = (response: Response): string | null => response.headers.get("x-franken-arm");
const rows = async <T>(table: string, id: string): Promise<T[]> =>
  (await gateway.db.prepare(`SELECT * FROM ${table} WHERE experiment = ? ORDER BY id`).bind(id).all<T>()).results;
const rate = (body: object, key?: string) =>
  gateway.fetch("/v1/feedback", {
    method: "POST",
    headers: { "content-type": "application/json", ...(key ? { authorization: `Bearer ${key}` } : {}) },
    body: JSON.stringify(body),
  });

describe("requests", () => {
  test("are served by their arm's variant, name it, and a unit keeps it in another isolate", async () => {
    const id = await running();
    const arms = new Map<string, string | null>();
    for (const user of USERS) {
      const response = await gateway.ask(user);
      arms.set(user, armOf(response));
      expect(response.headers.get("x-franken-experiment")).toBe(id);
      expect(response.headers.get("x-franken-variant")).toBe(armOf(response) === "base" ? BASE : DROP);
      const decision = response.headers.get("x-franken-decision");
      const told = (await (await gateway.fetch(`/v1/decisions/${decision}`)).json()) as Record<string, unknown>;
      expect(told).toMatchObject({ rule: "experiment", experiment: { id, epoch: 0, arm: armOf(response) } });
    }
    expect(new Set(arms.values())).toEqual(new Set(["base", "drop"]));
    const elsewhere = await experimentGateway();
    for (const user of USERS) expect(armOf(await elsewhere.ask(user))).toBe(arms.get(user));
  });

  test("of completions and responses take part too", async () => {
    await running();
    const post = (path: string, body: object) =>
      gateway.fetch(path, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "auto", user: "ada", ...body }),
      });
    const arm = armOf(await gateway.ask("ada"));
    expect(armOf(await post("/v1/completions", { prompt: "Hi" }))).toBe(arm);
    expect(armOf(await post("/v1/responses", { input: "Hi", store: false }))).toBe(arm);
    expect(
      armOf(await post("/v1/responses", { input: "Hi", store: false, user: null, safety_identifier: "ada" })),
    ).toBe(arm);
  });

  test("of responses in the background take part when they are made, once", async () => {
    const jobs: ResponseJob[] = [];
    const id = await running(
      { unit: { header: "x-session" } },
      {
        responses: {
          store: createResponseStore({ db: await migratedDatabase(), keepMs: 1_000_000, now: Date.now }),
          lineOf: () => openLine,
          runnerOf: () => ({
            start: async (job) => void jobs.push(job),
            cancel: async () => {},
            resume: async () => {},
          }),
        },
      },
    );
    const arm = armOf(await gateway.ask("ada", { "x-session": "s1" }));
    await gateway.flush();
    expect(await rows("outcomes", id)).toHaveLength(5);
    const queued = await gateway.fetch("/v1/responses", {
      method: "POST",
      headers: { "content-type": "application/json", "x-session": "s1" },
      body: JSON.stringify({ model: "auto", input: "Hi", background: true }),
    });
    expect(queued.status).toBe(200);
    await gateway.flush();
    expect(await rows("outcomes", id)).toHaveLength(5);
    const [job] = jobs as [ResponseJob];
    expect((await gateway.run(job)).status).toBe("completed");
    await gateway.flush();
    const outcomes = await rows<{ request: string; unit: string; arm: string }>("outcomes", id);
    expect(outcomes.filter(({ request }) => request === job.response.id)).toHaveLength(5);
    expect(new Set(outcomes.map(({ unit }) => unit)).size).toBe(1);
    expect(new Set(outcomes.map((outcome) => outcome.arm))).toEqual(new Set([arm]));
  });

  test("that name a variant, have no unit or are not invited take no part", async () => {
    await running({ audience: { header: { name: "x-team", values: ["red"] } } });
    const team = { "x-team": "red" };
    expect(armOf(await gateway.ask("ada", team))).not.toBeNull();
    expect(armOf(await gateway.ask("ada"))).toBeNull();
    expect(armOf(await gateway.ask("ada", { "x-team": "blue" }))).toBeNull();
    expect(armOf(await gateway.ask("ada", team, { model: BASE }))).toBeNull();
    expect(armOf(await gateway.ask("ada", team, { user: undefined }))).toBeNull();
  });

  test("of one header's value or one key are one unit", async () => {
    await running({ unit: { header: "x-session" }, audience: { share: 1 } });
    const arms = await Promise.all(USERS.map(async (user) => armOf(await gateway.ask(user, { "x-session": "s1" }))));
    expect(new Set(arms).size).toBe(1);
  });

  test("move to other arms no more than new weights make them", async () => {
    const id = await running();
    const before = await Promise.all(USERS.map(async (user) => armOf(await gateway.ask(user))));
    await gateway.admin("PATCH", `/v1/experiments/${id}`, { weights: { base: 0.7, drop: 0.3 } });
    const after = await Promise.all(USERS.map(async (user) => armOf(await gateway.ask(user))));
    expect(after.filter((_, i) => before[i] === "base")).toEqual(before.filter((arm) => arm === "base"));
    await gateway.flush();
    const exposures = await rows<{ epoch: number }>("exposures", id);
    expect(exposures.map(({ epoch }) => epoch)).toEqual([...USERS.map(() => 0), ...USERS.map(() => 1)]);
  });

  test("are served as any other when their arm's variant may not serve, and that is on record", async () => {
    const whyNot = async (variant: string) => (variant === DROP ? { reason: "it disagrees", since: 7 } : undefined);
    const id = await running({}, { whyNot });
    const arms = await Promise.all(USERS.map(async (user) => armOf(await gateway.ask(user))));
    expect(new Set(arms)).toEqual(new Set(["base", null]));
    await gateway.flush();
    const { log } = (await (await gateway.admin("GET", `/v1/experiments/${id}`)).json()) as { log: object[] };
    expect(log).toHaveLength(2);
    expect(log[1]).toMatchObject({
      action: "arm_unserved",
      by: "gateway",
      detail: { arm: "drop", reason: "it disagrees" },
    });
  });

  test("keep their budget in every arm", async () => {
    await running();
    for (const user of USERS.slice(0, 4)) {
      // No variant has recorded scores here: none meets it, so that the arm's does not answer for being in the arm.
      const response = await gateway.ask(user, {}, { budget: { min_hellaswag: 99 } });
      expect(armOf(response)).not.toBeNull();
      expect(response.headers.get("x-franken-rule")).toBe("nearest");
      const strict = await gateway.ask(user, {}, { budget: { min_hellaswag: 99, strict: true } });
      expect(strict.status).toBe(422);
    }
  });

  test("may be compared under two ways of routing", async () => {
    await running({
      arms: [
        { name: "base", model: "auto", weight: 0.5 },
        { name: "fast", model: "auto", weight: 0.5, policy: { prefer: "speed", quantile: 0.8, quality: "perplexity" } },
      ],
    });
    const told = new Map<string | null, unknown>();
    for (const user of USERS) {
      const response = await gateway.ask(user);
      const decision = await gateway.fetch(`/v1/decisions/${response.headers.get("x-franken-decision")}`);
      const { quantile, budget } = (await decision.json()) as { quantile: number; budget: { prefer: string } };
      told.set(armOf(response), [quantile, budget.prefer]);
      const own = await gateway.ask(user, {}, { budget: { prefer: "cost" } });
      const ownDecision = await gateway.fetch(`/v1/decisions/${own.headers.get("x-franken-decision")}`);
      expect(((await ownDecision.json()) as { budget: { prefer: string } }).budget.prefer).toBe("cost");
    }
    expect(told).toEqual(
      new Map([
        ["base", [0.95, "quality"]],
        ["fast", [0.8, "speed"]],
      ]),
    );
  });
});

describe("outcomes", () => {
  test("of an answer are recorded once: times, length, no error", async () => {
    const id = await running();
    // A name that no random id holds by chance.
    const response = await gateway.ask("somebody");
    const { id: request } = (await response.json()) as { id: string };
    await gateway.flush();
    const outcomes = await rows<{ metric: string; value: number; request: string } & Place>("outcomes", id);
    expect(outcomes.map(({ metric }) => metric).sort()).toEqual(["error", "latency", "length", "tpot", "ttft"]);
    expect(outcomes.every((row) => row.request === request && row.arm === armOf(response) && row.epoch === 0)).toBe(
      true,
    );
    expect(outcomes.find(({ metric }) => metric === "error")?.value).toBe(0);
    expect(outcomes.find(({ metric }) => metric === "length")?.value).toBe(2);
    const [exposure] = await rows<{ unit: string }>("exposures", id);
    expect(outcomes[0]?.unit).toBe(exposure?.unit);
    expect(JSON.stringify(outcomes)).not.toContain("somebody");
  });

  test("of a stream as of a whole answer", async () => {
    const id = await running();
    const response = await gateway.ask("ada", {}, { stream: true });
    await response.text();
    await gateway.flush();
    expect((await rows<object>("outcomes", id)).length).toBe(5);
  });

  test.each([true, false])("of an answer that broke off is an error (streamed: %s)", async (stream) => {
    const id = await running({}, { script: [wait, "break"] });
    const response = await gateway.ask("ada", {}, { stream });
    await response.text();
    await gateway.flush();
    expect(await rows("outcomes", id)).toMatchObject([{ metric: "error", value: 1 }]);
  });

  test("arrive once after D1 was away, and assignment went on", async () => {
    const id = await running();
    const arm = armOf(await gateway.ask("ada"));
    await gateway.flush();
    await gateway.db.prepare("ALTER TABLE outcomes RENAME TO gone").run();
    const away = new Proxy(gateway.db, {
      get: (target, name) => {
        if (name === "prepare" && isAway) throw new Error("D1_ERROR: no connection");
        return Reflect.get(target, name, target);
      },
    });
    let isAway = false;
    let clock = Date.now();
    const other = await experimentGateway({ db: away, now: () => clock });
    expect(armOf(await other.ask("ada"))).toBe(arm);
    isAway = true;
    clock += 60_000;
    expect(armOf(await other.ask("ada"))).toBe(arm);
    await other.flush(1);
    await gateway.db.prepare("ALTER TABLE gone RENAME TO outcomes").run();
    expect((await rows<object>("outcomes", id)).length).toBe(5);
    await other.flush();
    expect((await rows<object>("outcomes", id)).length).toBe(15);
  });

  test("are nobody's where no experiment runs", async () => {
    gateway = await experimentGateway();
    const response = await gateway.ask("ada");
    expect(armOf(response)).toBeNull();
    const { id } = (await response.json()) as { id: string };
    await gateway.flush();
    expect(await gateway.db.prepare("SELECT count(*) AS n FROM completions WHERE id = ?").bind(id).first()).toEqual({
      n: 0,
    });
    expect((await rate({ completion_id: id, rating: 1 })).status).toBe(404);
  });
});

describe("feedback", () => {
  const answered = async (): Promise<string> => ((await (await gateway.ask("ada")).json()) as { id: string }).id;

  test.each([false, true])("ties a rating to its arm, once (answer in D1 already: %s)", async (isFlushed) => {
    const id = await running();
    const completion = await answered();
    await gateway.settled();
    if (isFlushed) await gateway.flush();
    const response = await rate({ completion_id: completion, rating: 0.5, text: "fine" });
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({ object: "feedback", completion_id: completion, rating: 0.5, text: "fine" });
    const again = await rate({ completion_id: completion, rating: -1 });
    expect([again.status, (await errorOf(again)).param]).toEqual([400, "completion_id"]);
    await gateway.flush();
    const ratings = (await rows<{ metric: string; value: number }>("outcomes", id)).filter(
      ({ metric }) => metric === "rating",
    );
    expect(ratings.map(({ value }) => value)).toEqual([0.5]);
    expect(await rows("feedback", id)).toMatchObject([{ rating: 0.5, text: "fine" }]);
  });

  test("waits in the queue while D1 is away, and is taken once", async () => {
    const id = await running();
    const completion = await answered();
    await gateway.settled();
    const broken = {
      prepare: () => ({ bind: () => ({}) }),
      batch: async () => {
        throw new Error("D1_ERROR: away");
      },
    };
    const away = await experimentGateway({ db: broken as unknown as D1Database });
    const send = () =>
      away.fetch("/v1/feedback", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ completion_id: completion, rating: 1 }),
      });
    expect((await send()).status).toBe(200);
    expect((await send()).status).toBe(400);
    await gateway.flush();
    expect((await rate({ completion_id: completion, rating: 1 })).status).toBe(400);
    expect(await rows("feedback", id)).toHaveLength(1);
  });

  test("for another key's answer, or none, is a 404 with the field", async () => {
    await running();
    const completion = await answered();
    await gateway.settled();
    for (const [completion_id, key] of [
      [completion, "sk-test-two"],
      ["chatcmpl-nope", undefined],
    ] as const) {
      const response = await rate({ completion_id, rating: 1 }, key);
      expect([response.status, (await errorOf(response)).param]).toEqual([404, "completion_id"]);
    }
  });

  test.each([
    [{ completion_id: "x", rating: 1.5 }, "rating"],
    [{ completion_id: "x", rating: -2 }, "rating"],
    [{ completion_id: "x", rating: "good" }, "rating"],
    [{ completion_id: "x" }, "rating"],
    [{ rating: 1 }, "completion_id"],
    [{ completion_id: "x", rating: 1, text: "x".repeat(2001) }, "text"],
  ])("%j is a 400", async (body, param) => {
    gateway = await experimentGateway();
    const response = await rate(body);
    expect([response.status, (await errorOf(response)).param]).toEqual([400, param]);
  });
});
