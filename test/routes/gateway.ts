// The app with a stand-in for the replica, which is the edge of these tests: it plays frames that a test gives it.
import catalogueJson from "../../dist/catalogue.json";
import { createApp } from "../../src/app.ts";
import { createScoreboard, type Scoreboard } from "../../src/monitor/index.ts";
import {
  type Frame,
  type GenerateRequest,
  type Replica,
  type ReplicaStatus,
  statusFrame,
} from "../../src/replica/protocol.ts";
import type { RunJob } from "../../src/responses/index.ts";
import { runInBackground } from "../../src/routes/index.ts";
import { createQualityBook, type RouterStore } from "../../src/routing/index.ts";
import { POLICY } from "../../src/routing/question.ts";
import { newState } from "../../src/routing/state.ts";
import { type KeptDecision, learnReport } from "../../src/routing/store.ts";
import { createServices, type ServicesOptions } from "../../src/services.ts";
import type { FailureRecord, RequestRecord } from "../../src/telemetry/index.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokenizer/index.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

export const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));

/** Frames in order; a number is a pause in ms, "never" waits until the stream is cancelled, "break" ends it without a last frame. */
export type Script = readonly (Frame | number | "never" | "break")[];

export const ready: ReplicaStatus = {
  state: "ready",
  progress: 1,
  error: undefined,
  engine: "stand-in",
  digest: "d1",
  residentBytes: 1000,
  queued: 0,
  running: 0,
};

export interface StandIn extends Replica {
  readonly requests: GenerateRequest[];
  cancelled: number;
  /** Variants that it was asked to go on with. */
  readonly switches: string[];
  /** Generations that it was asked to go on with them. */
  readonly switched: string[];
}

export function standIn(script: Script | ((request: GenerateRequest) => Script), status = () => ready): StandIn {
  const encoder = new TextEncoder();
  const self: StandIn = {
    requests: [],
    cancelled: 0,
    status: async () => status(),
    switches: [],
    switched: [],
    switchVariant: async (id, variant) => {
      self.switched.push(id);
      self.switches.push(variant);
      return true;
    },
    measure: async () => ({ state: "busy" }),
    compare: async () => ({ state: "busy", reason: "live" }),
    async generate(request) {
      self.requests.push(request);
      const steps = [...(typeof script === "function" ? script(request) : script)];
      const weightsId = catalogue.get(request.variant)?.plan.base.id ?? "";
      const early = await self.status(weightsId, false);
      const statuses: (() => Promise<Frame>)[] = [async () => statusFrame(early)];
      if (early.state !== "ready") statuses.push(async () => statusFrame(await self.status(weightsId, false)));
      let wake = (): void => {};
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            for (;;) {
              const news = await statuses.shift()?.();
              if (news) return controller.enqueue(encoder.encode(`${JSON.stringify(news)}\n`));
              const step = steps.shift();
              if (step === undefined || step === "break") return controller.close();
              if (step === "never") return new Promise<void>((resolve) => (wake = resolve));
              if (typeof step === "number") await new Promise((resolve) => setTimeout(resolve, step));
              else return controller.enqueue(encoder.encode(`${JSON.stringify(step)}\n`));
            }
          },
          cancel() {
            self.cancelled++;
            wake();
          },
        },
        { highWaterMark: 0 },
      );
    },
  };
  return self;
}

export const end = { type: "end", reason: "stop" } as const;
export const wait = { type: "wait" } as const;
export const tokens = (ids: readonly number[]): Frame[] => ids.map((id) => ({ type: "token", id }));

let tokenizer: Tokenizer | undefined;
export const sharedTokenizer = (): Tokenizer => (tokenizer ??= createTokenizer(tokenizerJson));

/** Frames that say this text and end. */
export const saying = async (text: string): Promise<Script> => [
  ...tokens((await sharedTokenizer().encode(text)).ids),
  end,
];

/** A line of background responses that has room for all. */
export const openLine = { join: async () => true, enter: async () => true, leave: async () => [] };

export const KEY = "sk-test-one";
export const USER = [{ role: "user", content: "Hi" }];

/** Routing that keeps what it learns in memory. */
export function routingOptions(overrides: Partial<ServicesOptions["routing"]> = {}): ServicesOptions["routing"] {
  const state = newState();
  const kept = new Map<string, KeptDecision>();
  const store: RouterStore = {
    snapshot: async () => structuredClone(state),
    async report(reports) {
      for (const report of reports) {
        kept.set(report.record.id, report);
        learnReport(state, report, Date.now());
      }
    },
    find: async (id) => kept.get(id),
  };
  return {
    // Requests get ids at random: none of them is to explore.
    policy: { ...POLICY, explore: 0 },
    store: () => store,
    archive: { keep: async () => {}, find: async () => undefined },
    qualities: createQualityBook([], ""),
    quantile: 0.95,
    ...overrides,
  };
}

/** What a gateway without a database knows of scores: nothing. */
export const noScores = createScoreboard({
  catalogue,
  recorded: [],
  db: undefined,
  replicaOf: () => standIn([]),
  now: Date.now,
  log: () => {},
});

/** The same, with these variants under quarantine. */
export const quarantining = (...variants: string[]): Scoreboard => ({
  ...noScores,
  loadQuarantines: async () => new Map(variants.map((id) => [id, { reason: "it disagrees", since: 1 }])),
});

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
