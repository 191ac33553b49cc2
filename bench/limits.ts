// `npm run bench:limits`: what docs/limits.md says of CPU times and of the sizes of what is sent and kept.
import { serialize } from "node:v8";
import type { WorkerOptions } from "miniflare";
import { localRuntime } from "../build/local-runtime.ts";
import { compileGrammar } from "../src/grammar/index.ts";
import { COMPANIES, type Company } from "../src/routing/latency.ts";
import { learnFrom, newState } from "../src/routing/state.ts";
import { type MeasuredRuntime, startMeasured } from "./cpu.ts";

const LINES: Readonly<Record<string, (measure: Measure) => Promise<void> | void>> = {
  "start-up": startUp,
  gateway,
  sizes,
  answers,
};
/** Says what was found. */
type Measure = (what: string, value: number, unit: string) => void;

/** Answers: variant, tokens of the prompt and of the reply. */
const ANSWERS = [
  ["smollm2-135m", 1900, 100],
  ["smollm2-135m", 16, 2000],
  ["smollm2-135m-attn-drop-15", 16, 4000],
] as const;
const TOKENS = 8000;

async function startUp(measure: Measure): Promise<void> {
  const empty = await startMeasured({ modules: true, script: "export default { fetch: () => new Response('') }" });
  await ask(empty, "/");
  const { workers, ...runtime } = await localRuntime();
  const replica = await startMeasured({ ...runtime, workers: [named(workers, "franken-replica")] });
  await ask(replica, "/");
  const both = await startMeasured({ ...runtime, workers });
  await ask(both, "/");
  measure("start-up of the replica", replica.cpuMs() - empty.cpuMs(), "ms of CPU");
  measure("start-up of gateway and replica", both.cpuMs() - empty.cpuMs(), "ms of CPU");
  for (const { miniflare } of [empty, replica, both]) await miniflare.dispose();
}

const named = (workers: WorkerOptions[], name: string): WorkerOptions =>
  workers.find((worker) => worker.name === name) as WorkerOptions;

/** In the place of the replica: sends as many tokens as it is asked for, each in a frame, and computes nothing. */
const STAND_IN: WorkerOptions = {
  name: "franken-replica",
  modules: true,
  compatibilityDate: "2026-04-01",
  durableObjects: { REPLICA: "Replica" },
  script: `
    import { DurableObject } from "cloudflare:workers";
    export default { fetch: () => new Response("") };
    export class Replica extends DurableObject {
      status() {
        return { state: "ready", progress: 1, engine: "wasm", digest: "", residentBytes: 0, queued: 0, running: 0 };
      }
      generate({ maxTokens, logprobs }) {
        const top = Array.from({ length: logprobs ?? 0 }, (_, i) => [500 + i, -1.5]);
        const told = logprobs === undefined ? {} : { logprob: -1.5, top };
        const encoder = new TextEncoder();
        const encode = (frame) => encoder.encode(JSON.stringify(frame) + "\\n");
        let sent = 0;
        return new ReadableStream({
          pull(controller) {
            if (sent < maxTokens) {
              controller.enqueue(encode({ type: "token", id: 500 + (sent++ % 40_000), ...told }));
            } else {
              controller.enqueue(encode({ type: "end", reason: "length" }));
              controller.close();
            }
          },
        });
      }
    }`,
};

async function gateway(measure: Measure): Promise<void> {
  const { workers, ...runtime } = await localRuntime();
  const options = { ...runtime, workers: [named(workers, "franken-gateway"), STAND_IN] };
  const started = await startMeasured(options);
  const messages = [{ role: "user", content: "Hi" }];
  await complete(started, "chat/completions", { messages, max_tokens: 100 });
  for (const more of [{}, { logprobs: true, top_logprobs: 20 }]) {
    const before = started.cpuMs();
    await complete(started, "chat/completions", { messages, max_tokens: TOKENS, stream: true, ...more });
    const each = (started.cpuMs() - before) / TOKENS;
    measure(`gateway, a streamed token${"logprobs" in more ? " with 20 log-probabilities" : ""}`, each, "ms of CPU");
  }
  const before = started.cpuMs();
  const refused = await complete(started, "completions", { prompt: "word ".repeat(800_000) });
  measure(`gateway, a body of 4 MB (${refused.status})`, started.cpuMs() - before, "ms of CPU");
  await started.miniflare.dispose();
}

async function answers(measure: Measure): Promise<void> {
  const ceilings = { MEMORY_CEILING_MIB: "118", REQUEST_DEADLINE_MS: "3000000" };
  Object.assign(process.env, ceilings);
  const started = await startMeasured(await localRuntime());
  while ((await ask(started, "/health")).status !== 200) await new Promise((resolve) => setTimeout(resolve, 100));
  for (const [model, promptTokens, replyTokens] of ANSWERS) {
    const before = started.cpuMs();
    // Without its end tokens, a reply goes on to its limit.
    const more = { max_tokens: replyTokens, logit_bias: { 0: -100, 2: -100 } };
    const { status } = await complete(started, "completions", {
      model,
      prompt: Array(promptTokens).fill(504),
      ...more,
    });
    const what = `answer of ${model}, ${promptTokens} + ${replyTokens} tokens (${status})`;
    measure(what, (started.cpuMs() - before) / 1000, "s of CPU");
  }
  await started.miniflare.dispose();
}

function sizes(measure: Measure): void {
  const names = Array.from({ length: 1000 }, (_, i) => `property_${i}`);
  const properties = Object.fromEntries(names.map((name, i) => [name, { type: i % 2 ? "string" : "integer" }]));
  const schema = { type: "object", properties, required: names, additionalProperties: false };
  const before = process.cpuUsage();
  const grammar = compileGrammar({ type: "json_schema", schema, strict: true });
  const { user, system } = process.cpuUsage(before);
  measure("compiling a schema of 1,000 properties", (user + system) / 1000, "ms of CPU");
  measure("its grammar", serialize(grammar).length, "bytes");
  const metrics = <T>(of: () => T) => ({ ttft: of(), tpot: of(), latency: of() });
  for (const decades of [2, 8]) {
    const state = newState();
    for (let i = 0; i < 200_000; i++) {
      const ratios = metrics(() => 10 ** ((Math.random() - 0.5) * decades));
      const predicted = metrics(() => ({ p50: 1, p90: 1, p99: 1, high: 1 }));
      const of = {
        variant: `a-variant-with-a-long-name-${i % 36}`,
        key: `0123456789abc${i % 201}`,
        alone: i % 72 < 36,
        companies: metrics(() => COMPANIES[Math.floor(i / 36) % COMPANIES.length] as Company),
        above: metrics(Math.random),
      };
      const reply = { tokens: 1 + (i % 8191), maxTokens: 8192, measured: metrics(() => 1) };
      learnFrom(state, { ...of, ...reply, ratios, predicted }, 1e12 + i * 1000);
    }
    measure(`what routing has learnt, ratios over ${decades} decades`, serialize(state).length, "bytes");
  }
}

const ask = ({ miniflare }: MeasuredRuntime, path: string) => miniflare.dispatchFetch(`http://gateway.test${path}`);

/** Reads a reply to its end. */
async function complete(runtime: MeasuredRuntime, endpoint: string, body: object) {
  const { API_KEYS } = await runtime.miniflare.getBindings<{ API_KEYS: string }>("franken-gateway");
  const response = await runtime.miniflare.dispatchFetch(`http://gateway.test/v1/${endpoint}`, {
    method: "POST",
    headers: { authorization: `Bearer ${/sk-local-[\w-]+/.exec(API_KEYS)?.[0]}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "smollm2-135m", ...body }),
  });
  await response.text();
  return response;
}

const asked = process.argv.slice(2);
for (const [name, run] of Object.entries(LINES)) {
  if (asked.length > 0 && !asked.includes(name)) continue;
  await run((what, value, unit) => console.log(`${what}: ${Number(value.toPrecision(3))} ${unit}`));
}
