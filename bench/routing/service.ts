// The service as `npm start` runs it, with an empty state of its own, and what a client with the OpenAI SDK sees of it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare, type WorkerOptions } from "miniflare";
import OpenAI from "openai";
import { localRuntime } from "../../build/local-runtime.ts";
import type { Budget } from "../../src/routing/index.ts";
import { budgetOnWire, NO_BUDGET } from "../../src/routing/index.ts";
import type { LoadRequest } from "./load.ts";
import type { Outcome, Times } from "./verdict.ts";

export interface Service {
  /** Sends a request now. A refusal or an error is an outcome. */
  ask(request: LoadRequest, model: string, budget: Partial<Budget>): Promise<Outcome>;
  stop(): Promise<void>;
}

const KEY = "sk-bench";
/** Tokens of the chat template with an empty message, which is subtracted from a prompt's. */
const EMPTY_PROMPT = 30;
/** Each is a token. */
const MARK_DIGITS = 5;
let asked = 0;

export async function startService(): Promise<Service> {
  const state = await mkdtemp(join(tmpdir(), "franken-bench-"));
  const { workers, ...shared } = await localRuntime();
  const miniflare = new Miniflare({
    ...shared,
    workers: workers.map((worker: WorkerOptions, i: number) =>
      i === 0 ? { ...worker, bindings: { ...worker.bindings, API_KEYS: KEY } } : worker,
    ),
    defaultPersistRoot: state,
    handleStructuredLogs() {},
  });
  const stop = async (): Promise<void> => {
    await miniflare.dispose();
    await rm(state, { recursive: true, force: true });
  };
  try {
    const url = await miniflare.ready;
    while (!(await fetch(new URL("/health", url))).ok) await new Promise((resolve) => setTimeout(resolve, 200));
    const openai = new OpenAI({ baseURL: new URL("/v1", url).href, apiKey: KEY, maxRetries: 0 });
    return { ask: (...args) => ask(openai, ...args), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function ask(openai: OpenAI, request: LoadRequest, model: string, budget: Partial<Budget>): Promise<Outcome> {
  const started = performance.now();
  // No prompt begins like another: what the replica keeps of earlier ones would make them shorter.
  const mark = String(asked++).padStart(MARK_DIGITS, "0");
  const words = Math.max(1, request.promptTokens - EMPTY_PROMPT - MARK_DIGITS);
  let variant = model;
  let rule: string | undefined;
  let predicted: Times = { ttft: 0, tpot: 0, latency: 0 };
  let first: number | undefined;
  let tokens = 0;
  try {
    const body = {
      model,
      messages: [{ role: "user" as const, content: mark + " word".repeat(words) }],
      max_tokens: request.maxTokens,
      temperature: 0,
      stream: true as const,
      stream_options: { include_usage: true },
      budget: budgetOnWire({ ...NO_BUDGET, ...budget }),
    };
    const { data, response } = await openai.chat.completions.create(body).withResponse();
    variant = response.headers.get("x-franken-variant") ?? model;
    rule = response.headers.get("x-franken-rule") ?? undefined;
    const ms = (name: string): number => Number(response.headers.get(`x-franken-predicted-${name}ms`));
    predicted = { ttft: ms("ttft-"), tpot: ms("tpot-"), latency: ms("") };
    for await (const chunk of data) {
      first ??= performance.now();
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    return { variant, ttft: 0, tpot: 0, latency: performance.now() - started, failed: true };
  }
  const latency = performance.now() - started;
  const ttft = (first ?? performance.now()) - started;
  return { variant, rule, predicted, ttft, latency, tpot: tokens > 1 ? (latency - ttft) / (tokens - 1) : 0 };
}
