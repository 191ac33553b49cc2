// A quarantined variant, in an isolate whose first event is a background response's alarm. No request
// under /v1 has come there, so nothing has read the list of quarantined variants yet.
import { beforeAll, expect, test } from "vitest";
import { createScoreboard } from "../../src/monitor/index.ts";
import type { ResponseObject } from "../../src/openai/index.ts";
import { createResponseStore, type ResponseJob } from "../../src/responses/index.ts";
import { variantDigest } from "../../src/variants/digest.ts";
import { migratedDatabase } from "../support/database.ts";
import { catalogue, openLine, ready, saying, standIn, type TestGateway, testGateway } from "./gateway.ts";

const BASE = "smollm2-135m";
const REASON = "20 of 20 items do not give the recorded result";
const jobs: ResponseJob[] = [];
let db: D1Database;

beforeAll(async () => {
  db = await migratedDatabase();
  await db
    .prepare(
      "INSERT INTO quarantine (id, variant, variant_digest, engine_digest, reason, at) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind("q1", BASE, variantDigest(catalogue.get(BASE)!.plan), ready.digest, REASON, 7)
    .run();
});

/** A gateway as an isolate makes it that has had no event yet. */
async function fresh(): Promise<TestGateway> {
  const replica = standIn(await saying("Rome."));
  const scores = createScoreboard({
    catalogue,
    recorded: [],
    db,
    replicaOf: () => replica,
    now: Date.now,
    log: () => {},
  });
  const store = createResponseStore({ db, keepMs: 1_000_000, now: Date.now });
  const runner = {
    start: async (job: ResponseJob) => void jobs.push(job),
    cancel: async () => {},
    resume: async () => {},
  };
  return testGateway(replica, { scores, responses: { store, runnerOf: () => runner, lineOf: () => openLine } });
}

const post = (body: object): RequestInit => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

/** Queues a background response in one isolate, and runs its job as the first event of another. */
async function runElsewhere(model: string): Promise<{ gateway: TestGateway; response: ResponseObject }> {
  const queued = await (await fresh()).fetch("/v1/responses", post({ model, input: "Hi", background: true }));
  expect(queued.status).toBe(200);
  const gateway = await fresh();
  return { gateway, response: await gateway.run(structuredClone(jobs.at(-1) as ResponseJob)) };
}

test("auto answers a background response with a variant that is not quarantined", async () => {
  const { gateway, response } = await runElsewhere("auto");
  const { model } = response;
  expect(model).not.toBe(BASE);
  expect(gateway.replica.requests.map(({ variant }) => variant)).toEqual([model]);
});

test("a quarantined variant that is named answers, and the reply to the request warns", async () => {
  const { response } = await runElsewhere(BASE);
  expect(response).toMatchObject({ model: BASE });
  const queued = await (await fresh()).fetch("/v1/responses", post({ model: BASE, input: "Hi", background: true }));
  expect(queued.headers.get("x-franken-warning")).toBe(`${BASE} is quarantined: ${REASON}`);
});
