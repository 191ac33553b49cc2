// The app with stand-ins around it: the replica is the edge of these tests.
import { createApp } from "../../src/app.ts";
import type { GenerateRequest } from "../../src/replica/protocol.ts";
import type { RunJob } from "../../src/responses/index.ts";
import { runInBackground } from "../../src/routes/index.ts";
import { createServices, type ServicesOptions } from "../../src/services.ts";
import type { FailureRecord, RequestRecord } from "../../src/telemetry/index.ts";
import {
  catalogue,
  end,
  noScores,
  routingOptions,
  type Script,
  type StandIn,
  sharedTokenizer,
  standIn,
} from "../support/stand-in.ts";

export * from "../support/stand-in.ts";

/** A line of background responses that has room for all. */
export const openLine = { join: async () => true, enter: async () => true, leave: async () => [] };

export const KEY = "sk-test-one";
export const USER = [{ role: "user", content: "Hi" }];

export interface TestGateway {
  /**
   * Sends a request with the key, unless `headers` has another authorization (or an empty one, for none).
   * Reads whole replies to their end, as clients do.
   */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  /** The same, and reads nothing. */
  open(path: string, init?: RequestInit): Promise<Response>;
  /** Posts a chat completion; `model` and `messages` have defaults. */
  chat(body: object): Promise<Response>;
  /** Makes the response of a background job. */
  run(job: Parameters<RunJob>[0]): ReturnType<RunJob>;
  readonly replica: StandIn;
  readonly records: RequestRecord[];
  readonly failures: FailureRecord[];
  /** Settles when what the replies left running has ended. */
  settled(): Promise<unknown>;
}

export function testGateway(
  script: Script | StandIn | ((request: GenerateRequest) => Script) = [end],
  options: Partial<ServicesOptions> = {},
): TestGateway {
  const replica = "generate" in script ? script : standIn(script);
  const records: RequestRecord[] = [];
  const failures: FailureRecord[] = [];
  const services = createServices({
    catalogue,
    replicaOf: () => replica,
    tokenizerOf: sharedTokenizer,
    scores: noScores,
    apiKeys: `${KEY},sk-test-two`,
    limitsOf: () => {
      throw new Error("a key without limits has no buckets");
    },
    routing: routingOptions(),
    deadlineMs: 10_000,
    log: { request: (record) => records.push({ ...record }), failure: (failure) => failures.push(failure) },
    ...options,
  });
  const app = createApp(services);
  const running: Promise<unknown>[] = [];
  const waitUntil = (promise: Promise<unknown>): void => void running.push(promise);
  const context = {
    waitUntil,
    passThroughOnException() {},
    props: {},
  } as unknown as ExecutionContext;
  const gateway: TestGateway = {
    fetch: async (...request) => readAhead(await gateway.open(...request)),
    async open(path, init = {}) {
      const headers = new Headers(init.headers);
      if (!headers.has("authorization")) headers.set("authorization", `Bearer ${KEY}`);
      if (!headers.get("authorization")) headers.delete("authorization");
      return app.fetch(new Request(`https://gateway.test${path}`, { ...init, headers }), {}, context);
    },
    chat: (body) =>
      gateway.fetch("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "smollm2-135m", messages: USER, ...body }),
      }),
    run: (job) => runInBackground(services)(job, { signal: new AbortController().signal, waitUntil }),
    replica,
    records,
    failures,
    settled: () => Promise.all(running),
  };
  return gateway;
}

/** A whole reply with its body read; one that breaks off does so again for its reader. */
async function readAhead(response: Response): Promise<Response> {
  if (!response.headers.get("content-type")?.startsWith("application/json")) return response;
  const bytes = await response.bytes().catch((error: Error) => error);
  const broken = (error: Error) => new ReadableStream({ start: (controller) => controller.error(error) });
  const body = bytes instanceof Error ? broken(bytes) : bytes.length > 0 ? bytes : null;
  return new Response(body, response);
}

export interface ErrorBody {
  readonly error: { message: string; type: string; param: string | null; code: string };
}

export const errorOf = async (response: Response): Promise<ErrorBody["error"]> =>
  ((await response.json()) as ErrorBody).error;
