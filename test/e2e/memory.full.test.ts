// The promise of 128 MB an isolate, measured on the replica as it serves: WebAssembly memory, JavaScript heap and array buffers.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { localRuntime } from "../../build/local-runtime.ts";
import { compileGrammar } from "../../src/grammar/index.ts";
import type { GenerateRequest, Replica } from "../../src/replica/protocol.ts";
import { heldMiB } from "../support/isolate.ts";

const MIB = 1024 * 1024;

let miniflare: Miniflare;
let state: string;
let url: string;
let openai: OpenAI;

const health = async () =>
  (await (await fetch(`${url}/health`)).json()) as { status: string; replicas: { resident_bytes: number }[] };

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), "franken-memory-"));
  miniflare = new Miniflare({
    ...(await localRuntime()),
    inspectorPort: 0,
    defaultPersistRoot: state,
    handleStructuredLogs: () => {},
  });
  url = (await miniflare.ready).origin;
  while ((await health()).status !== "ok") await new Promise((resolve) => setTimeout(resolve, 50));
  const { API_KEYS } = await miniflare.getBindings<{ API_KEYS: string }>("franken-gateway");
  openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: /sk-local-[\w-]+/.exec(API_KEYS)?.[0] ?? "", maxRetries: 0 });
});
afterAll(async () => {
  await miniflare.dispose();
  await rm(state, { recursive: true });
});

async function residentMiB(): Promise<number> {
  const held = await heldMiB((await miniflare.getInspectorURL()).host, "franken-replica");
  return held + ((await health()).replicas[0]?.resident_bytes ?? Number.NaN) / MIB;
}

describe("the replica's isolate", () => {
  it("holds at most 100 MiB before any sequence", async () => {
    expect(await residentMiB()).toBeLessThanOrEqual(100);
  });

  it("holds at most 120 MiB with a sequence of 2,048 tokens", async () => {
    const stream = await openai.chat.completions.create({
      model: "smollm2-135m",
      messages: [{ role: "user", content: "word ".repeat(1985) }],
      max_tokens: 32,
      stream: true,
    });
    const measured: number[] = [];
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content && measured.length < 2) measured.push(await residentMiB());
    }
    const peak = Math.max(...measured);
    expect(peak).toBeGreaterThan(100);
    expect(peak).toBeLessThanOrEqual(120);
  });

  it("holds at most 4 MiB more when the reply is held to a grammar", async () => {
    const base = "smollm2-135m-instruct";
    const namespace = await miniflare.getDurableObjectNamespace("REPLICA", "franken-gateway");
    const replica = namespace.get(namespace.idFromName(base)) as unknown as Replica;
    // Every character of such a string is a place of its own in the grammar: nothing asks more of the replica.
    const schema = { type: "string", minLength: 1000, maxLength: 2000 };
    const request: GenerateRequest = {
      id: "gen_memory",
      requestId: "memory",
      variant: "smollm2-135m",
      promptIds: new Array<number>(1985).fill(1),
      maxTokens: 32,
      temperature: 1,
      topP: 1,
      seed: 1,
      deadlineMs: 120_000,
      grammar: compileGrammar({ type: "json_schema", schema, strict: false }),
    };
    const measured: number[] = [];
    const decoder = new TextDecoder();
    for await (const frames of await replica.generate(request)) {
      const tokens = decoder.decode(frames, { stream: true }).includes('"token"');
      if (tokens && measured.length < 2) measured.push(await residentMiB());
    }
    expect(measured.length).toBe(2);
    expect(Math.max(...measured)).toBeLessThanOrEqual(124);
  });
});
