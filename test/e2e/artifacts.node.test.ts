// Artifacts as the toolkit leaves them, built and served beside what ships.
import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ChangedTensor } from "../../compress/artifact.ts";
import { writeArtifact } from "../../compress/store.ts";
import { type CheckpointTensor, readCheckpoint } from "../../scripts/build/checkpoint.ts";
import type { SlotRecipe } from "../../src/variants/recipe.ts";
import { firstCols, firstRows, zeroBias } from "../support/slices.ts";
import { copyProject } from "./copy.ts";
import { freePort, type Server, startCommand, startServer } from "./server.ts";

const BASE = "smollm2-135m-instruct";
const LAYER = "blk.5";
const all = Array.from({ length: 30 }, (_, layer) => ({ layer, attn: true, mlp: true }));

let project: string;
let artifacts: string;
let server: Server;

const write = (id: string, tensors: ChangedTensor[], slots: SlotRecipe["slots"] = all) =>
  writeArtifact(
    {
      recipe: { id, base: BASE, title: id, origin: { source: "a test", section: "none" }, status: "research", slots },
      tensors,
      provenance: { method: "slices", arguments: { channels: 1024 }, checkpoint: "0".repeat(64), version: "1" },
    },
    { folder: artifacts },
  );

/** As `npm start` does first; gives what it printed. */
function build(): string {
  const { stderr, status } = spawnSync(process.execPath, ["scripts/setup.mjs"], {
    ...{ cwd: project, encoding: "utf8", env: { ...process.env, FRANKEN_ARTIFACTS: artifacts } },
  });
  if (status !== 0) throw new Error(stderr);
  return stderr;
}

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
  await write("a-cut-and-dropped", cut, all.slice(0, 25));
  await write("a-bias", [zeroBias(`${LAYER}.ffn_down.bias`, 576)]);
  build();
  server = await startServer(await startCommand(), await freePort(), { FRANKEN_ARTIFACTS: artifacts }, project);
});
afterAll(async () => {
  await server?.stop();
  await rm(artifacts, { recursive: true });
  await rm(project, { recursive: true });
});

/** The likeliest tokens and their log-probabilities. */
const ask = async (model: string) =>
  (
    await server.openai.chat.completions.create({
      ...{ model, temperature: 0, max_tokens: 24, logprobs: true },
      messages: [{ role: "user", content: "What is the capital of Italy?" }],
    })
  ).choices[0]?.logprobs?.content;

const get = async (path: string) =>
  (await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.key}` } })).json();

describe("served artifacts", () => {
  it("are listed after what ships, and loaded when they are asked for", async () => {
    const states = async () =>
      ((await get("/health")) as { replicas: { base: string; state: string }[] }).replicas.map((r) => r.state);
    expect(await states()).toEqual(["ready", "idle", "idle"]);
    const { data } = (await get("/v1/models")) as { data: { id: string }[] };
    expect(data[0]?.id).toBe("smollm2-135m");
    expect(data.map(({ id }) => id)).toEqual(expect.arrayContaining(["a-bias", "a-cut", "a-cut-and-dropped"]));
    await ask("a-cut");
    expect((await states()).toSorted()).toEqual(["idle", "ready", "ready"]);
  });

  it("compute what their tensors say", async () => {
    const base = await ask("smollm2-135m");
    expect(await ask("a-bias")).toEqual(base);
    expect(await ask("a-cut")).not.toEqual(base);
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
    // Embedding in two parts, output norm, 30 layers and the vocabulary; then two other fifth layers.
    expect(files).toHaveLength(2 + 1 + 30 + 1 + 2);
    expect(build()).toBe("");
  });
});
