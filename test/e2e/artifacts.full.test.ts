// Artifacts as the toolkit leaves them, built and served beside what ships.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { type CheckpointTensor, readCheckpoint } from "../../build/checkpoint.ts";
import { withChanges } from "../../compress/apply/overlay.ts";
import type { ChangedTensor } from "../../compress/artifact.ts";
import { readCalibration } from "../../compress/calibration.ts";
import { ggufOutput } from "../../compress/export/gguf.ts";
import { huggingFaceOutput } from "../../compress/export/hf.ts";
import { exportVariant } from "../../compress/export/index.ts";
import { createForward, type Tokens } from "../../compress/forward/forward.ts";
import { openModel } from "../../compress/forward/model.ts";
import { allSlots, tokenNll } from "../../compress/forward/perplexity.ts";
import { importSource } from "../../compress/import/index.ts";
import { eoraModel, roundModel } from "../../compress/methods/models.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { putOutput } from "../../compress/output.ts";
import { stackOf } from "../../compress/stack.ts";
import { writeArtifact } from "../../compress/store.ts";
import type { LowRankAdapter } from "../../formats/peft/write.ts";
import type { SlotRecipe } from "../../src/variants/recipe.ts";
import { llamaCheckpoint } from "../compress/llamas.ts";
import { recipeOf } from "../compress/recipe.ts";
import { firstCols, firstRows, zeroBias } from "../support/slices.ts";
import { copyProject, setUp } from "./copy.ts";
import { askLikeliest } from "./likeliest.ts";

const BASE = "smollm2-135m-instruct";
const LAYER = "blk.5";
const all = Array.from({ length: 30 }, (_, layer) => ({ layer, attn: true, mlp: true }));

const QUANTIZED = ["a-quantized", "a-quantized-compensated", "a-quantized-at-8"];

let project: string;
let artifacts: string;
let server: Server;
let text: Tokens;

interface Written {
  readonly slots?: SlotRecipe["slots"];
  readonly adapter?: LowRankAdapter | undefined;
}
const write = (id: string, tensors: readonly ChangedTensor[], { slots = all, adapter }: Written = {}) =>
  writeArtifact(
    {
      recipe: { id, base: BASE, title: id, origin: { source: "a test", section: "none" }, status: "research", slots },
      tensors,
      adapter,
      provenance: { method: "slices", arguments: { channels: 1024 }, checkpoint: "0".repeat(64), version: "1" },
    },
    { folder: artifacts },
  );

/** One layer at 2 bits, that with its attention compensated, and a layer on another grid of 2 bits that is stored at 8. */
async function writeQuantized(): Promise<void> {
  const checkpoint = await openCheckpoint("smollm2-135m");
  text = (await readCalibration(checkpoint, { sequences: 2, length: 32 })).tokens;
  const slots = [{ layer: 5, attn: true, mlp: true }];
  const grid = { bits: 2, kind: "asymmetric", block: 64, part: "linears" } as const;
  const { tensors } = await roundModel({ checkpoint, slots }, grid);
  const attention = { slots: [{ layer: 5, attn: true, mlp: false }], tokens: text };
  const quantized = { ...attention, checkpoint: withChanges(checkpoint, tensors) };
  const { lowRank = [] } = await eoraModel(quantized, checkpoint, { rank: 16, seed: 1 });
  await write("a-quantized", tensors);
  await write("a-quantized-compensated", tensors, { adapter: { linears: lowRank } });
  const symmetric = await roundModel({ checkpoint, slots }, { ...grid, kind: "symmetric" });
  const other = withChanges(checkpoint, symmetric.tensors);
  const eight = { bits: 8, kind: "symmetric", block: 32, part: "linears" } as const;
  await write("a-quantized-at-8", (await roundModel({ checkpoint: other, slots }, eight)).tensors);
}

/** Checkpoints of other families as other programs leave them, taken in. */
async function importLlamas(): Promise<void> {
  vi.stubEnv("FRANKEN_ARTIFACTS", artifacts);
  const whole = recipeOf([{}, {}]);
  const folder = join(artifacts, "a-tinyllama-hf");
  const file = join(artifacts, "a-llama-3.gguf");
  await putOutput(folder, huggingFaceOutput(await stackOf(whole, llamaCheckpoint("tinyllama")), "f32"));
  await putOutput(file, ggufOutput(await stackOf(whole, llamaCheckpoint("llama-3")), "f32"));
  await importSource(folder, { id: "a-tinyllama" });
  await importSource(file, { id: "a-llama-3" });
  vi.unstubAllEnvs();
}

const build = (): string => setUp(project, { FRANKEN_ARTIFACTS: artifacts });

beforeAll(async () => {
  project = await copyProject();
  artifacts = await mkdtemp(join(tmpdir(), "franken-artifacts-"));
  const { tensors } = await readCheckpoint(BASE);
  const find = (name: string) => tensors.find((t) => t.name === `${LAYER}.${name}.weight`) as CheckpointTensor;
  const cut = [
    { ...firstRows(find("ffn_gate"), 1024), bits: 3.5 },
    firstRows(find("ffn_up"), 1024),
    firstCols(find("ffn_down"), 1024),
    zeroBias(`${LAYER}.ffn_down.bias`, 576),
  ];
  await write("a-cut", cut);
  await write("a-cut-and-dropped", cut, { slots: all.slice(0, 25) });
  await write("a-bias", [zeroBias(`${LAYER}.ffn_down.bias`, 576)]);
  await writeQuantized();
  await importLlamas();
  build();
  server = await startServer(await startCommand(), await freePort(), { FRANKEN_ARTIFACTS: artifacts }, project);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await server?.stop();
  await rm(artifacts, { recursive: true });
  await rm(project, { recursive: true });
});

const ask = (model: string) => askLikeliest(server, model, 24);

const get = async (path: string) =>
  (await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.key}` } })).json();

describe("served artifacts", () => {
  it("are listed after what ships, and loaded beside the base or when they are asked for", async () => {
    interface Health {
      readonly replicas: readonly { readonly base: string; readonly state: string; readonly resident_bytes: number }[];
    }
    const states = async () =>
      Object.fromEntries(((await get("/health")) as Health).replicas.map(({ base, state }) => [base, state]));
    const { data } = (await get("/v1/models")) as { data: { id: string }[] };
    expect(data[0]?.id).toBe("smollm2-135m");
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(["a-bias", "a-cut", "a-cut-and-dropped"]));
    const loaded = await vi.waitFor(async () => {
      const found = await states();
      for (const [base, state] of Object.entries(found)) expect(state).toBe(base.startsWith(BASE) ? "ready" : "idle");
      return found;
    }, 20_000);
    expect(Object.values(loaded).toSorted()).toEqual(["idle", "idle", ...new Array(5).fill("ready")]);
    // Each has a layer of its own, and all else from the base.
    const { replicas } = (await get("/health")) as Health;
    expect(replicas[0]?.resident_bytes).toBeLessThan(110 * 2 ** 20);

    await server.openai.completions.create({ model: "a-tinyllama", prompt: "Hi", max_tokens: 1 });
    expect(Object.values(await states()).toSorted()).toEqual(["idle", ...new Array(6).fill("ready")]);
  });

  it("compute what their tensors say", async () => {
    const base = await ask("smollm2-135m");
    expect(await ask("a-bias")).toEqual(base);
    expect(await ask("a-cut")).not.toEqual(base);
  });

  it.each(QUANTIZED)("%s computes what its GGUF export holds", async (model) => {
    const prompt = [...text.ids.subarray(0, text.length)];
    const served = async (model: string): Promise<number[]> => {
      const ask = { model, prompt, temperature: 0, max_tokens: 1, echo: true, logprobs: 0 };
      const { choices } = await server.openai.completions.create(ask);
      return (choices[0]?.logprobs?.token_logprobs ?? []).slice(1, prompt.length);
    };
    vi.stubEnv("FRANKEN_ARTIFACTS", artifacts);
    const file = join(artifacts, `${model}.gguf`);
    await putOutput(file, await exportVariant(model, "gguf"));
    const checkpoint = await openCheckpoint(file);
    const forward = createForward({ shape: checkpoint.shape });
    const tokens = { sequences: 1, length: prompt.length, ids: Int32Array.from(prompt) };
    const exported = await tokenNll(forward, openModel(checkpoint), allSlots(checkpoint), tokens);
    await forward.close();
    await checkpoint.close();
    const apart = (logprobs: readonly number[]): number => {
      expect(logprobs).toHaveLength(exported.length);
      return logprobs.reduce((sum, value, i) => sum + Math.abs(value + (exported[i] as number)), 0) / logprobs.length;
    };
    // Mean over tokens. The engine's activations have 8 bits, the export's arithmetic is fp32: the base itself is 0.11 apart.
    const others = ["smollm2-135m", ...QUANTIZED].filter((id) => id !== model);
    const difference = apart(await served(model));
    expect(difference).toBeLessThan(0.25);
    for (const other of others) expect(apart(await served(other))).toBeGreaterThan(3 * difference);
  });

  it("tell their tensors, where they come from, and their costs", async () => {
    const [base, cut, dropped] = (await Promise.all(
      ["smollm2-135m", "a-cut", "a-cut-and-dropped"].map((id) => get(`/v1/variants/${id}`)),
    )) as { recipe: SlotRecipe; plan: Record<string, number | string> }[];
    expect(Object.keys(cut?.recipe.tensors ?? {})).toHaveLength(4);
    expect(cut?.recipe.provenance).toMatchObject({ method: "slices", arguments: { channels: 1024 } });
    const values = 3 * 512 * 576;
    const plan = (of: typeof cut, field: string) => Number(of?.plan[field]);
    expect(plan(base, "multiply_adds_per_token") - plan(cut, "multiply_adds_per_token")).toBe(values);
    expect(plan(base, "weight_bytes") - plan(cut, "weight_bytes")).toBe((values * 5) / 8 - 4 * 576);
    expect(plan(cut, "weight_bytes") - plan(cut, "nominal_weight_bytes")).toBe((1024 * 576 * 1.5) / 8);
    expect(cut?.plan.weights).toMatch(/^smollm2-135m-instruct\+[0-9a-f]{12}$/);
    expect(dropped?.plan.weights).toBe(cut?.plan.weights);
  });

  it("share the files of what they have in common, and are not built again", async () => {
    const files = await readdir(join(project, "dist/weights"));
    // Embedding in two parts, output norm, 30 layers and the vocabulary; then four other fifth layers, and an adapter. Of each imported
    // one embedding, output norm, head, the layer that both of its slots are, and the vocabulary.
    expect(files).toHaveLength(2 + 1 + 30 + 1 + 4 + 1 + 2 * 5);
    expect(build()).toBe("");
  });
});

describe.each([
  ["a-tinyllama", 1, "<s>"],
  ["a-llama-3", 900, "<|begin_of_text|>"],
])("%s, an imported checkpoint with a tokenizer of its own,", (model, bos, spelled) => {
  const USER = [{ role: "user" as const, content: "Hi 👍" }];

  it("completes prompts, which begin with its bos token", async () => {
    const prompt = "The capital of Italy";
    const ask = { model, prompt, max_tokens: 8, temperature: 0, logprobs: 1, echo: true };
    const { choices, usage } = await server.openai.completions.create(ask);
    const [choice] = choices;
    expect(choice?.text.startsWith(prompt)).toBe(true);
    expect(choice?.logprobs?.tokens?.[0]).toBe(spelled);
    const { tokens } = (await (
      await fetch(`${server.url}/tokenize`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, prompt }),
      })
    ).json()) as { tokens: number[] };
    expect([tokens[0], tokens.length]).toEqual([bos, usage?.prompt_tokens]);
  });

  it("talks, streamed as whole", async () => {
    const ask = { model, messages: USER, max_tokens: 16, temperature: 0, logprobs: true };
    const whole = (await server.openai.chat.completions.create(ask)).choices[0];
    let streamed = "";
    const bytes: number[] = [];
    for await (const { choices } of await server.openai.chat.completions.create({ ...ask, stream: true })) {
      streamed += choices[0]?.delta.content ?? "";
      for (const token of choices[0]?.logprobs?.content ?? []) bytes.push(...(token.bytes ?? []));
    }
    expect(streamed).toBe(whole?.message.content);
    expect(bytes).toEqual(whole?.logprobs?.content?.flatMap((token) => token.bytes ?? []));
  });

  it("keeps to a schema", async () => {
    const schema = {
      type: "object",
      properties: { a: { enum: ["è 日", "b"] } },
      required: ["a"],
      additionalProperties: false,
    };
    const { choices } = await server.openai.chat.completions.create({
      model,
      messages: USER,
      max_tokens: 100,
      seed: 1,
      response_format: { type: "json_schema", json_schema: { name: "x", strict: true, schema } },
    });
    expect(choices[0]?.finish_reason).toBe("stop");
    expect(["è 日", "b"]).toContain(JSON.parse(choices[0]?.message.content ?? "").a);
  });
});
