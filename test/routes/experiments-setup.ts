// A gateway with experiments on the database of the test file, and the queue of records before it.
import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { createExperiments, type Experiments, type ExperimentsOptions } from "../../src/experiments/live/index.ts";
import type { GenerateRequest } from "../../src/replica/protocol.ts";
import type { ServicesOptions } from "../../src/services.ts";
import { createRecorder } from "../../src/storage/recorder.ts";
import { env, migratedDatabase } from "../support/database.ts";
import { catalogue, KEY, type Script, saying, type TestGateway, testGateway } from "./gateway.ts";

export const ADMIN = "sk-test-admin";
export const API_KEYS = JSON.stringify([{ key: ADMIN, admin: true }, KEY, "sk-test-two"]);
/** The id of `KEY`, as audiences name it. */
export const BASE = "smollm2-135m";
export const DROP = "smollm2-135m-attn-drop-10";

export const definition = (id: string, more: object = {}) => ({
  id,
  arms: [
    { name: "base", model: BASE, weight: 0.5 },
    { name: "drop", model: DROP, weight: 0.5 },
  ],
  control: "base",
  primary: { metric: "rating", margin: 0.1 },
  window_seconds: 0,
  settle_seconds: 0,
  ...more,
});

export interface ExperimentGateway extends TestGateway {
  readonly experiments: Experiments;
  readonly db: D1Database;
  admin(method: string, path: string, body?: unknown): Promise<Response>;
  /** A chat completion with the model `auto`. */
  ask(user: string, headers?: Record<string, string>, body?: object): Promise<Response>;
  /** Has what waits in the queue written; it may be writing by itself. */
  flush(tries?: number): Promise<void>;
}

export interface SetupOptions extends Partial<ServicesOptions> {
  readonly script?: Script | ((request: GenerateRequest) => Script);
  readonly db?: D1Database;
  /** Name of its queue. */
  readonly queue?: string;
  readonly whyNot?: ExperimentsOptions["whyNot"];
}

export async function experimentGateway(options: SetupOptions = {}): Promise<ExperimentGateway> {
  const {
    script = await saying("Rome."),
    queue = "experiments",
    whyNot = async () => undefined,
    db: given,
    ...more
  } = options;
  const real = await migratedDatabase();
  const db = given ?? real;
  const recorder = createRecorder({ queue: () => env.RECORDS.getByName(queue), log: () => {} });
  const now = options.now ?? Date.now;
  const experiments = createExperiments({
    db,
    recorder,
    now,
    whyNot,
    log: () => {},
  });
  const gateway = testGateway(script, { catalogue, apiKeys: API_KEYS, experiments, ...more });
  const headers = { "content-type": "application/json" };
  return {
    ...gateway,
    experiments,
    db: real,
    admin: (method, path, body) =>
      gateway.fetch(path, {
        method,
        headers: { ...headers, authorization: `Bearer ${ADMIN}` },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }),
    ask: (user, own = {}, body = {}) =>
      gateway.fetch("/v1/chat/completions", {
        method: "POST",
        headers: { ...headers, ...own },
        body: JSON.stringify({ model: "auto", user, messages: [{ role: "user", content: "Hi" }], ...body }),
      }),
    async flush(tries = 50) {
      await gateway.settled();
      const object = env.RECORDS.getByName(queue);
      for (let i = 0; i < tries; i++) {
        await runDurableObjectAlarm(object);
        const waiting = await runInDurableObject(object, (_, { storage }) =>
          storage.sql.exec<{ rows: number }>("SELECT count(*) AS rows FROM queue").one(),
        );
        if (waiting.rows === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
  };
}
