// Grammars on the replica as it serves, with the real model and all its tokens: whatever ends is valid, hot as it may be.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajv2020 } from "ajv/dist/2020.js";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { localRuntime } from "../../build/local-runtime.ts";
import { tokenizersFile } from "../../build/paths.ts";
import { compileGrammar, type OutputFormat, TOOL_CALLS } from "../../src/grammar/index.ts";
import type { Frame, Replica } from "../../src/replica/protocol.ts";
import { createTokenizer, type Tokenizer, type TokenizerJson } from "../../src/tokenizer/index.ts";
import { strictObject } from "../support/grammar.ts";

const BASE = "smollm2-135m-instruct";

let miniflare: Miniflare;
let state: string;
let replica: Replica;
let tokenizer: Tokenizer;

beforeAll(async () => {
  state = await mkdtemp(join(tmpdir(), "franken-grammar-"));
  miniflare = new Miniflare({ ...(await localRuntime()), defaultPersistRoot: state, handleStructuredLogs: () => {} });
  const namespace = await miniflare.getDurableObjectNamespace("REPLICA", "franken-gateway");
  replica = namespace.get(namespace.idFromName(BASE)) as unknown as Replica;
  const tokenizers: Record<string, TokenizerJson> = JSON.parse(await readFile(tokenizersFile, "utf8"));
  tokenizer = createTokenizer(tokenizers[BASE] as TokenizerJson);
});
afterAll(async () => {
  await miniflare.dispose();
  await rm(state, { recursive: true });
});

async function reply(format: OutputFormat, seed: number, temperature: number): Promise<{ text: string; end: Frame }> {
  const { ids: promptIds } = await tokenizer.encodeChat([
    { role: "user", content: "Who came to dinner in Rome, and how warm was it? Answer briefly, as JSON." },
  ]);
  const stream = await replica.generate({
    id: `gen_${seed}`,
    requestId: `req_${seed}`,
    variant: "smollm2-135m",
    promptIds,
    maxTokens: 100,
    temperature,
    topP: 1,
    seed,
    deadlineMs: 100_000,
    grammar: compileGrammar(format),
  });
  const lines = (await new Response(stream).text()).trim().split("\n");
  const frames = lines.map((line): Frame => JSON.parse(line));
  const ids = frames.flatMap((frame) => (frame.type === "token" ? [frame.id] : []));
  return { text: tokenizer.decode(ids), end: frames.at(-1) as Frame };
}

describe("a reply of the real model that is held to a grammar", () => {
  it("is valid for its schema at temperature 0 and at temperature 2", async () => {
    const schema = strictObject({
      guests: { type: "array", items: { type: "string", maxLength: 6 }, minItems: 1, maxItems: 2 },
      celsius: { type: "number", multipleOf: 0.5, minimum: -10, maximum: 45 },
      mood: { enum: ["merry", "quiet"] },
      more: { anyOf: [strictObject({ dish: { type: "string", pattern: "^[A-Z][a-z]{2,8}$" } }), { type: "null" }] },
    });
    const validate = new Ajv2020().compile(schema);
    let ended = 0;
    for (const [seed, temperature] of [0, 1, 2, 2, 2, 2].entries()) {
      const { text, end } = await reply({ type: "json_schema", schema }, seed, temperature);
      if (end.type !== "end" || end.reason !== "stop") continue;
      ended++;
      expect(validate(JSON.parse(text)), text).toBe(true);
    }
    expect(ended).toBeGreaterThan(4);
  });

  it("calls a tool when it must", async () => {
    const parameters = strictObject({
      city: { type: "string", maxLength: 20 },
      days: { type: "integer", minimum: 1, maximum: 7 },
    });
    const tools = [{ name: "get_weather", strict: true, parameters }];
    const { text, end } = await reply({ type: "tool_calls", tools, several: false }, 1, 0);
    expect(end).toEqual({ type: "end", reason: "stop" });
    const calls: unknown = JSON.parse(text.slice(TOOL_CALLS.open.length, -TOOL_CALLS.close.length));
    expect(calls).toEqual([{ name: "get_weather", arguments: { city: expect.any(String), days: expect.any(Number) } }]);
  });
});
