// A service without HTTP: what all requests share, with a stand-in for the replica, and the scope
// of one request.
import type { Limits } from "../../src/limits/index.ts";
import { NO_BUDGET } from "../../src/routing/index.ts";
import { createServices, type ServicesOptions } from "../../src/services.ts";
import type { ChoiceEvent, GenerationRequest, RequestScope } from "../../src/serving/index.ts";
import { type GenerationRun, serve } from "../../src/serving/index.ts";
import type { FailureRecord, RequestRecord } from "../../src/telemetry/index.ts";
import { catalogue, noScores, routingOptions, type StandIn, sharedTokenizer } from "../support/stand-in.ts";

export const MODEL = "smollm2-135m";

const NAMES = {
  latency_ms: "budget.latency_ms",
  ttft_ms: "budget.ttft_ms",
  tpot_ms: "budget.tpot_ms",
  min_hellaswag: "budget.min_hellaswag",
  max_perplexity: "budget.max_perplexity",
};

export const request = (more: Partial<GenerationRequest> = {}): GenerationRequest => ({
  model: MODEL,
  user: undefined,
  stream: false,
  warnings: [],
  budget: { budget: NO_BUDGET, unstated: ["prefer", "quantile", "allowResearch"], names: NAMES },
  prompt: {
    kind: "chat",
    name: "messages",
    messages: [{ role: "user", content: "Hi" }],
    maxTokens: 8,
    maxTokensParam: "max_tokens",
  },
  mayShorten: false,
  n: 1,
  stop: [],
  sampling: { temperature: 0, topP: 1 },
  seed: 1,
  ...more,
});

export interface Service {
  serve(more?: Partial<GenerationRequest>): Promise<GenerationRun>;
  readonly log: RequestRecord;
  readonly warnings: string[];
  readonly failures: FailureRecord[];
  /** What was taken of the key's tokens, and what of it was used in the end. */
  readonly reserved: number[];
  readonly used: number[];
  /** Settles when nothing of the request is left. */
  settled(): Promise<unknown>;
}

export interface ServiceOptions extends Partial<ServicesOptions> {
  readonly signal?: AbortSignal;
  readonly limits?: Limits;
  readonly background?: boolean;
}

/** A service that takes one request. */
export function serviceOf(replica: StandIn, options: ServiceOptions = {}): Service {
  const { signal = new AbortController().signal, background = false, ...more } = options;
  const failures: FailureRecord[] = [];
  const services = createServices({
    catalogue,
    replicaOf: () => replica,
    tokenizerOf: sharedTokenizer,
    scores: noScores,
    apiKeys: "",
    limitsOf: () => {
      throw new Error("no key has limits");
    },
    routing: routingOptions(),
    deadlineMs: 10_000,
    log: { request() {}, failure: (failure) => failures.push(failure) },
    ...more,
  });
  const log: RequestRecord = { requestId: "req_1", method: "none", route: "none", status: 0, ms: 0 };
  const warnings: string[] = [];
  const reserved: number[] = [];
  const used: number[] = [];
  const running: Promise<unknown>[] = [];
  const scope: RequestScope = {
    requestId: "req_1",
    replyId: "reply_1",
    keyId: "key_1",
    headers: new Headers(),
    signal,
    background,
    log,
    arrivedAt: services.now(),
    admission: {
      reserve: async (tokens) => void reserved.push(tokens),
      settle: (tokens) => void used.push(tokens),
    },
    warn: (...all) => void warnings.push(...all),
    waitUntil: (promise) => void running.push(promise),
  };
  return {
    serve: (asked) => serve(services, scope, request(asked)),
    log,
    warnings,
    failures,
    reserved,
    used,
    settled: () => Promise.all(running),
  };
}

export async function eventsOf(run: GenerationRun): Promise<ChoiceEvent[]> {
  const events: ChoiceEvent[] = [];
  for await (const event of run.events) events.push(event);
  return events;
}

/** The text of a choice. */
export const textOf = (events: readonly ChoiceEvent[], choice = 0): string =>
  events.map((value) => (value.choice === choice && value.event.type === "text" ? value.event.text : "")).join("");
