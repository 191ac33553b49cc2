import { runDurableObjectAlarm } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, test } from "vitest";
import {
  type Archive,
  createArchive,
  createQualityBook,
  type DecisionRecord,
  type RouterStore,
} from "../../src/routing/index.ts";
import { createRecorder } from "../../src/storage/recorder.ts";
import { type Plan, sharedKv } from "../../src/variants/plan.ts";
import { madeUpQualities } from "../routing/made-up.ts";
import { env as database, migratedDatabase } from "../support/database.ts";
import {
  catalogue,
  end,
  errorOf,
  KEY,
  quarantining,
  ready,
  routingOptions,
  type Script,
  saying,
  standIn,
  type TestGateway,
  testGateway,
  tokens,
  USER,
} from "./gateway.ts";

const BASE = "smollm2-135m";
const SMALL = "smollm2-135m-franken-all-except-last-two";
const qualities = madeUpQualities(catalogue, BASE);
const scored = (overrides = {}) => ({ routing: routingOptions({ qualities, ...overrides }) });

const away: RouterStore = {
  snapshot: () => Promise.reject(new Error("away")),
  report: () => Promise.reject(new Error("away")),
  find: () => Promise.reject(new Error("away")),
};

const header = (response: Response, name: string) => response.headers.get(`x-franken-${name}`);
const decisionOf = async (gateway: TestGateway, response: Response): Promise<DecisionRecord> => {
  const found = await gateway.fetch(`/v1/decisions/${header(response, "decision")}`);
  expect(found.status).toBe(200);
  return (await found.json()) as DecisionRecord;
};

describe("auto", () => {
  test("answers with the best variant, and says which in body, headers and decision", async () => {
    for (const stream of [false, true]) {
      const gateway = testGateway(await saying("Rome."), scored());
      const response = await gateway.chat({ model: "auto", stream, max_tokens: 8 });
      const text = await response.text();
      await gateway.settled();
      const served = gateway.replica.requests[0]?.variant as string;
      expect(text).toContain(`"model":"${served}"`);
      expect(header(response, "variant")).toBe(served);
      expect(header(response, "rule")).toMatch(/best|tied_cheaper/);
      expect(Number(header(response, "predicted-ms"))).toBeGreaterThan(Number(header(response, "predicted-ttft-ms")));
      expect(header(response, "budget-ms")).toBeNull();
      const decision = await decisionOf(gateway, response);
      expect(decision).toMatchObject({ model: "auto", variant: served, load: 0, breaks: [], max_tokens: 8 });
      expect(decision.candidates).toHaveLength(catalogue.size);
      expect(decision.candidates.filter(({ lost }) => lost === null).map(({ variant }) => variant)).toEqual([served]);
      expect(decision.actual).toMatchObject({ tokens: 2, complete: true, broke: [] });
    }
  });

  test("keeps a budget from headers or body, and shows it", async () => {
    const gateway = testGateway(await saying("Rome."), scored());
    const budget = { ttft_ms: 150, quantile: 0.95, allow_research: true };
    const body = JSON.stringify({ model: "auto", messages: USER, max_tokens: 8, budget });
    const headers = { "content-type": "application/json", "x-latency-budget-ms": "300" };
    const response = await gateway.fetch("/v1/chat/completions", { method: "POST", headers, body });
    expect(response.status).toBe(200);
    expect(header(response, "budget-ms")).toBe("300");
    expect(header(response, "budget-ttft-ms")).toBe("150");
    expect(header(response, "budget-tpot-ms")).toBeNull();
    expect(Number(header(response, "predicted-ms"))).toBeLessThanOrEqual(300);
    expect(header(response, "variant")).not.toBe(BASE);
    const decision = await decisionOf(gateway, response);
    expect(decision.budget).toMatchObject({ latency_ms: 300, ttft_ms: 150, tpot_ms: null, strict: false });
    const base = decision.candidates.find(({ variant }) => variant === BASE);
    expect(base?.lost).toMatch(/ms$/);
    expect(base?.predicted_ms?.latency).toBeGreaterThan(300);
  });

  test("takes the budget of the key", async () => {
    const apiKeys = JSON.stringify([{ key: KEY, budget: { latency_ms: 300, quantile: 0.95, allow_research: true } }]);
    const gateway = testGateway(await saying("Rome."), { ...scored(), apiKeys });
    const response = await gateway.chat({ model: "auto", max_tokens: 8 });
    expect(header(response, "budget-ms")).toBe("300");
    expect(header(response, "variant")).not.toBe(BASE);
  });

  test("gives the nearest to a budget that cannot be met, or 422 when strict", async () => {
    const gateway = testGateway(await saying("Rome."), scored());
    const loose = await gateway.chat({ model: "auto", budget: { latency_ms: 1 } });
    expect(loose.status).toBe(200);
    expect([header(loose, "rule"), header(loose, "budget-breaks")]).toEqual(["nearest", "latency_ms"]);
    expect(catalogue.get(header(loose, "variant") as string)?.recipe.status).not.toBe("research");
    for (const [budget, param] of [
      [{ latency_ms: 1 }, "budget.latency_ms"],
      [{ ttft_ms: 1 }, "budget.ttft_ms"],
      [{ tpot_ms: 0.01 }, "budget.tpot_ms"],
      [{ min_hellaswag: 99 }, "budget.min_hellaswag"],
      [{ max_perplexity: 2 }, "budget.max_perplexity"],
    ] as const) {
      const strict = await gateway.chat({ model: "auto", budget: { ...budget, strict: true } });
      expect(strict.status).toBe(422);
      const error = await errorOf(strict);
      expect(error).toMatchObject({ code: "budget_unmet", type: "invalid_request_error", param });
      expect(error.message).toContain(`'${param}'`);
    }
    expect(gateway.replica.requests).toHaveLength(1);
  });

  test("answers with a research variant only where the request or its key says so", async () => {
    const own = await testGateway(await saying("Rome."), scored()).fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "x-allow-research": "true", "x-latency-budget-ms": "1" },
      body: JSON.stringify({ model: "auto", messages: USER }),
    });
    expect(header(own, "variant")).toBe(SMALL);
    const apiKeys = JSON.stringify([{ key: KEY, budget: { allow_research: true } }]);
    const keyed = testGateway(await saying("Rome."), { ...scored(), apiKeys });
    expect(header(await keyed.chat({ model: "auto", budget: { latency_ms: 1 } }), "variant")).toBe(SMALL);
    const refused = await keyed.chat({ model: "auto", budget: { latency_ms: 1, allow_research: false } });
    expect(header(refused, "variant")).not.toBe(SMALL);
  });

  test("names the header of a strict budget that came in one", async () => {
    const response = await testGateway([], scored()).fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "x-tpot-budget-ms": "0.01", "x-budget-strict": "true" },
      body: JSON.stringify({ model: "auto", messages: USER }),
    });
    expect([response.status, (await errorOf(response)).param]).toEqual([422, "x-tpot-budget-ms"]);
  });

  test("leaves out what is under quarantine and what has no room, as the replica tells", async () => {
    const roomy = `${BASE}-block-drop-4`;
    const capacities = Object.fromEntries([...catalogue.keys()].map((id) => [id, id === roomy ? 2000 : 20]));
    const replica = standIn(await saying("Rome."), () => ({ ...ready, capacities }));
    const gateway = testGateway(replica, scored());
    await (await gateway.chat({})).text();
    expect(header(await gateway.chat({ model: "auto" }), "variant")).toBe(roomy);
    const small = testGateway(await saying("Rome."), { ...scored(), scores: quarantining(BASE) });
    const decision = await decisionOf(small, await small.chat({ model: "auto" }));
    expect(decision.candidates.find(({ variant }) => variant === BASE)?.lost).toBe("quarantined");
    const none = testGateway([], { ...scored(), scores: quarantining(...catalogue.keys()) });
    const refused = await none.chat({ model: "auto" });
    expect([refused.status, (await errorOf(refused)).code]).toEqual([503, "replica_unavailable"]);
  });

  test("serves without any scores", async () => {
    const gateway = testGateway(await saying("Rome."), {
      routing: routingOptions({ qualities: createQualityBook([], "") }),
    });
    const response = await gateway.chat({ model: "auto" });
    expect([header(response, "rule"), header(response, "variant")]).toEqual(["unscored", BASE]);
  });

  test("learns from what it sees: a replica that is slow makes it choose smaller variants", async () => {
    const budget = { latency_ms: 2000 };
    const words = tokens(Array.from({ length: 4 }, () => 19556)).flatMap((frame) => [75, frame] as const);
    const gateway = testGateway([...words, { type: "end", reason: "length" }], scored());
    const first = await gateway.chat({ model: "auto", max_tokens: 16, budget });
    await Promise.all(Array.from({ length: 30 }, async () => (await gateway.chat({ max_tokens: 16 })).text()));
    await gateway.settled();
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await (await gateway.chat({ max_tokens: 16 })).text();
    await gateway.settled();
    const later = await gateway.chat({ model: BASE, max_tokens: 16, budget });
    const [tpotBefore, tpotAfter] = [first, later].map((response) => Number(header(response, "predicted-tpot-ms")));
    expect(tpotAfter).toBeGreaterThan(2 * (tpotBefore as number));
    const routing = (await (await gateway.fetch("/v1/routing")).json()) as {
      variants: { variant: string; observations: number; calibration: { latency?: { requests: number } } }[];
    };
    const base = routing.variants.find(({ variant }) => variant === BASE);
    expect(base?.observations).toBeGreaterThan(20);
    expect(base?.calibration.latency?.requests).toBeGreaterThan(20);
  });
});

describe("a variant's id", () => {
  test("pins; a budget is only reported", async () => {
    const gateway = testGateway(await saying("Rome."), scored());
    const response = await gateway.chat({ budget: { latency_ms: 1 } });
    expect([response.status, header(response, "variant"), header(response, "rule")]).toEqual([200, BASE, "pinned"]);
    expect(header(response, "budget-breaks")).toBe("latency_ms");
    const decision = await decisionOf(gateway, response);
    expect(decision.candidates.map(({ variant }) => variant)).toEqual([BASE]);
  });

  test("with a strict budget is refused when it is predicted to break it", async () => {
    const gateway = testGateway(await saying("Rome."), scored());
    const refused = await gateway.chat({ budget: { latency_ms: 1, strict: true } });
    expect([refused.status, (await errorOf(refused)).code]).toEqual([422, "budget_unmet"]);
    expect((await gateway.chat({ budget: { latency_ms: 60_000, strict: true } })).status).toBe(200);
  });

  test("that is not there gets 404, whatever the budget", async () => {
    const response = await testGateway().chat({ model: "automatic", budget: { latency_ms: 1 } });
    expect([response.status, (await errorOf(response)).param]).toEqual([404, "model"]);
  });
});

describe("downshift", () => {
  const steps = (count: number): Script => Array.from({ length: count }, () => [20, ...tokens([19556])]).flat();
  const request = { model: BASE, max_tokens: 64, messages: USER };

  test("asks the replica for a lighter variant when an answer falls behind, and says from which token it went on", async () => {
    for (const stream of [false, true]) {
      const script: Script = [
        ...steps(8),
        { type: "variant", id: "smollm2-135m-block-drop-4", fromToken: 8 },
        ...steps(2),
        end,
      ];
      const gateway = testGateway(script, scored());
      const response = await gateway.chat({ ...request, stream, budget: { latency_ms: 300, downshift: true } });
      const text = await response.text();
      await gateway.settled();
      const [asked, ...more] = gateway.replica.switches;
      expect(more).toEqual([]);
      const [from, to] = [BASE, asked as string].map((id) => catalogue.get(id)?.plan as Plan);
      expect(sharedKv(from as Plan, to as Plan)).toBeDefined();
      expect(text).toContain('"franken":{"downshifts":[{"variant":"smollm2-135m-block-drop-4","from_token":8}]}');
      expect((await decisionOf(gateway, response)).actual?.downshifts).toEqual([
        { variant: "smollm2-135m-block-drop-4", from_token: 8 },
      ]);
    }
  });

  test("leaves an answer alone that is in time, and one whose budget does not ask for it", async () => {
    for (const budget of [{ latency_ms: 60_000, downshift: true }, { latency_ms: 300 }]) {
      const gateway = testGateway([...steps(8), end], scored());
      const text = await (await gateway.chat({ ...request, budget })).text();
      await gateway.settled();
      expect(gateway.replica.switches).toEqual([]);
      expect(text).not.toContain('franken":');
    }
  });
});

test("a request costs no status call: the generation's stream begins with the status", async () => {
  const replica = standIn([...tokens([19556]), end]);
  const { status } = replica;
  const calls: unknown[] = [];
  replica.status = (id, wake) => {
    // The stand-in takes its own status, and wakes nothing by it.
    if (wake !== false) calls.push(id);
    return status(id, wake);
  };
  expect((await testGateway(replica).chat({})).status).toBe(200);
  expect(calls).toEqual([]);
});

describe("what the replica is told", () => {
  test("is what is left of the limits in time", async () => {
    const gateway = testGateway([...tokens([19556]), end], scored());
    const request = { model: BASE, messages: USER };
    await (await gateway.chat({ ...request, budget: { latency_ms: 300, ttft_ms: 200 } })).text();
    await (await gateway.chat({ ...request, budget: { tpot_ms: 20 } })).text();
    await (await gateway.chat({ ...request, budget: { min_hellaswag: 30 } })).text();
    const [first, second, third] = gateway.replica.requests.map(({ allowed }) => allowed);
    expect(first?.latencyMs).toBeGreaterThan(200);
    expect(first?.latencyMs).toBeLessThanOrEqual(300);
    expect((first?.latencyMs ?? 0) - (first?.ttftMs ?? 0)).toBeCloseTo(100);
    expect([second, third]).toEqual([{ tpotMs: 20 }, {}]);
  });
});

describe("bad budgets", () => {
  test.each([
    [{ latency_ms: -1 }, "budget.latency_ms"],
    [{ latency_ms: 1, ttft_ms: 2 }, "budget.ttft_ms"],
    [{ nonsense: 1 }, "budget"],
    [{ strict: true }, "budget.strict"],
    [{ downshift: true, tpot_ms: 5 }, "budget.downshift"],
  ])("get 400 with the field's name: %j", async (budget, param) => {
    const response = await testGateway().chat({ model: "auto", budget });
    expect(response.status).toBe(400);
    expect((await errorOf(response)).param).toBe(param);
  });
});

describe("a decision", () => {
  test("can be read by its key only, and never holds text", async () => {
    const gateway = testGateway(await saying("pineapple juice"), scored());
    const response = await gateway.chat({ model: "auto", messages: [{ role: "user", content: "mango lassi" }] });
    await response.text();
    await gateway.settled();
    const path = `/v1/decisions/${header(response, "decision")}`;
    expect(JSON.stringify(await decisionOf(gateway, response))).not.toMatch(/pineapple|juice|mango|lassi|sk-/);
    const other = await gateway.fetch(path, { headers: { authorization: "Bearer sk-test-two" } });
    expect([other.status, (await errorOf(other)).code]).toEqual([404, "decision_not_found"]);
    expect((await gateway.fetch("/v1/decisions/dec_0")).status).toBe(404);
    expect((await gateway.fetch(path, { headers: { authorization: "" } })).status).toBe(401);
  });

  test("can be read while the answer is under way, and by another isolate", async () => {
    const routing = routingOptions({ qualities });
    const gateway = testGateway([...tokens([19556]), 200, ...tokens([19556]), { type: "end", reason: "length" }], {
      routing,
    });
    const response = await gateway.chat({ model: "auto", stream: true });
    expect((await decisionOf(gateway, response)).actual).toBeNull();
    await response.text();
    await gateway.settled();
    expect((await decisionOf(testGateway([], { routing }), response)).actual).toMatchObject({
      tokens: 2,
      complete: true,
    });
  });

  test("of an answer that failed says so, and teaches nothing", async () => {
    const gateway = testGateway([...tokens([19556]), "break"], scored());
    await (await gateway.chat({ stream: true })).text();
    await gateway.settled();
    const record = gateway.records[0];
    const decision = (await (await gateway.fetch(`/v1/decisions/${record?.decision}`)).json()) as DecisionRecord;
    expect(decision.actual).toMatchObject({ complete: false, tokens: 1 });
    const { variants } = (await (await gateway.fetch("/v1/routing")).json()) as {
      variants: { observations: number }[];
    };
    expect(variants.every(({ observations }) => observations === 0)).toBe(true);
  });
});

describe("the store of what was learnt", () => {
  test("may be away: answers go out by the plans' costs, and the log says so once", async () => {
    const gateway = testGateway(await saying("Rome."), scored({ store: () => away }));
    for (let i = 0; i < 3; i++) {
      const response = await gateway.chat({ model: "auto" });
      expect(response.status).toBe(200);
      await response.text();
      await gateway.settled();
    }
    expect(gateway.failures.map(({ message }) => message)).toEqual(["what was learnt is not at hand: away"]);
  });

  test("that does not answer holds up an isolate's first request a moment, and no other", async () => {
    let asked = 0;
    const stuck: RouterStore = {
      ...routingOptions().store(),
      snapshot: () => {
        asked++;
        return new Promise(() => {});
      },
    };
    const gateway = testGateway(await saying("Rome."), scored({ store: () => stuck }));
    const started = performance.now();
    expect((await gateway.chat({ model: "auto" })).status).toBe(200);
    expect((await gateway.chat({ model: "auto" })).status).toBe(200);
    expect(performance.now() - started).toBeLessThan(1500);
    expect(asked).toBe(1);
  });

  test("is asked once a second at most, and never before an answer once it has answered", async () => {
    const calls: string[] = [];
    const store = routingOptions().store();
    const answered = Promise.withResolvers<void>();
    let clock = 1_700_000_000_000;
    const counted: RouterStore = {
      ...store,
      async snapshot() {
        calls.push("snapshot");
        if (calls.length > 1) await answered.promise;
        return store.snapshot();
      },
    };
    const gateway = testGateway(await saying("Rome."), { ...scored({ store: () => counted }), now: () => clock });
    for (let i = 0; i < 5; i++) await (await gateway.chat({ model: "auto" })).text();
    expect(calls).toHaveLength(1);
    clock += 1001;
    await (await gateway.chat({ model: "auto" })).text();
    expect(calls).toHaveLength(2);
    answered.resolve();
    await gateway.settled();
  });

  test("is a Durable Object that learns, and keeps decisions", async () => {
    const store = (env as unknown as { ROUTER: { getByName(name: string): RouterStore } }).ROUTER.getByName("test");
    const gateway = testGateway([20, ...tokens([19556]), 20, ...tokens([19556]), end], scored({ store: () => store }));
    const response = await gateway.chat({ model: "auto", budget: { latency_ms: 5000 } });
    await response.text();
    await gateway.settled();
    const state = await store.snapshot();
    expect(state.arrivals.dues.weights.some((weight) => weight > 0.9)).toBe(true);
    expect(Object.keys(state.latency).length).toBeGreaterThan(0);
    const id = header(response, "decision") as string;
    expect((await store.find(id))?.record).toMatchObject({ id, actual: { tokens: 2 } });
    expect(await store.find("dec_none")).toBeUndefined();
    const elsewhere = testGateway([], scored({ store: () => store }));
    expect((await decisionOf(elsewhere, response)).actual).toMatchObject({ complete: true });
  });
});

describe("D1", () => {
  test("keeps decisions that nobody remembers any more, each once", async () => {
    const db = await migratedDatabase();
    const queue = database.RECORDS.getByName("routing");
    const recorder = createRecorder({ queue: () => queue, log: () => {} });
    const archive = createArchive(recorder, db);
    const gateway = testGateway(await saying("Rome."), scored({ archive }));
    const response = await gateway.chat({ model: "auto", budget: { latency_ms: 5000 } });
    await response.text();
    await gateway.settled();
    await runDurableObjectAlarm(queue);
    const elsewhere = testGateway([], scored({ archive: createArchive(recorder, db), store: () => away }));
    expect(await decisionOf(elsewhere, response)).toMatchObject({
      id: header(response, "decision"),
      budget: { latency_ms: 5000 },
      actual: { tokens: 2, complete: true },
    });
    const other = await elsewhere.fetch(`/v1/decisions/${header(response, "decision")}`, {
      headers: { authorization: "Bearer sk-test-two" },
    });
    expect(other.status).toBe(404);
    const { rows } = (await db.prepare("SELECT count(*) AS rows FROM decisions").first<{ rows: number }>()) ?? {};
    expect(rows).toBe(1);
  });

  test("away leaves answers and what the router remembers as they are", async () => {
    const archive: Archive = { keep: async () => {}, find: () => Promise.reject(new Error("away")) };
    const gateway = testGateway(await saying("Rome."), scored({ archive }));
    const response = await gateway.chat({ model: "auto" });
    expect((await decisionOf(gateway, response)).variant).toBe(header(response, "variant"));
    expect((await gateway.fetch("/v1/decisions/dec_unknown")).status).toBe(500);
  });
});
