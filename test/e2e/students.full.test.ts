// A weight set of layers that training left, loaded beside the base into one memory, as `npm start` runs it.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { importStudent } from "../../compress/import/student.ts";
import { openCheckpoint } from "../../compress/open.ts";
import { studentTensors, writeStudent } from "../support/student.ts";
import { copyProject, setUp } from "./copy.ts";
import { askLikeliest } from "./likeliest.ts";

const MIB = 2 ** 20;
let project: string;
let artifacts: string;
let server: Server;
/** What came of requests for both weight sets, asked as soon as the base answers. */
let first: Promise<Awaited<ReturnType<typeof ask>>[]>;
const MODELS = ["smollm2-135m", "made-up-6", "made-up-3"];

beforeAll(async () => {
  project = await copyProject();
  artifacts = await mkdtemp(join(tmpdir(), "franken-students-"));
  const plans = {
    "made-up-6": Array.from({ length: 6 }, (_, layer) => ({ layer })),
    "made-up-3": [{ layer: 0 }, { layer: 2, attn: false }, { layer: 5 }],
  };
  await writeStudent(join(artifacts, "student"), plans, await studentTensors(await openCheckpoint("smollm2-135m"), 6));
  vi.stubEnv("FRANKEN_ARTIFACTS", artifacts);
  await importStudent(join(artifacts, "student"), {});
  // A slice of measuring begins every second.
  const env = { FRANKEN_ARTIFACTS: artifacts, SCORES_CRON: "* * * * * *" };
  setUp(project, env);
  server = await startServer(await startCommand(), await freePort(), env, project);
  first = Promise.all(Array.from({ length: 9 }, (_, i) => ask(MODELS[i % 3] as string)));
  // A test waits for it.
  first.catch(() => {});
  // It builds all of it anew.
}, 300_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await server?.stop();
  await rm(artifacts, { recursive: true });
  await rm(project, { recursive: true });
});

const ask = (model: string) => askLikeliest(server, model, 12);

interface Health {
  readonly replicas: { base: string; state: string; resident_bytes: number }[];
}
const health = async () => (await (await fetch(`${server.url}/health`)).json()) as Health;
const get = async (path: string) =>
  (await fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${server.key}` } })).json();

describe("a student's weight set", () => {
  it("answers from the first moment on, at once with the base and while scores are measured", async () => {
    const answers = await first;
    for (const [i, tokens] of answers.entries()) expect(tokens).toEqual(answers[i % 3]);
    for (let round = 0; round < 8; round++) {
      // Now and then in the middle of an item.
      await new Promise((resolve) => setTimeout(resolve, 150 + 250 * round));
      expect(await Promise.all(MODELS.map(ask))).toEqual(answers.slice(0, 3));
    }
    const { data } = (await get("/v1/scores")) as { data: { kind: string; items: number }[] };
    expect(data.filter(({ kind }) => kind === "served").length).toBeGreaterThan(0);
  });

  it("is in the memory of the base, and with its embedding", async () => {
    const { replicas } = await vi.waitFor(async () => {
      const found = await health();
      expect(found.replicas.map(({ base, state }) => [base, state])).toEqual([
        ["smollm2-135m-instruct", "ready"],
        ["made-up-students", "ready"],
      ]);
      return found;
    });
    // Six layers of 2.1 MiB beside the base's 92 MiB and scratch; the embedding's 29 MiB are not there twice.
    const [own, students] = replicas;
    expect(students?.resident_bytes).toBe(own?.resident_bytes);
    expect(own?.resident_bytes).toBeGreaterThan((92 + 6 * 2) * MIB);
    expect(own?.resident_bytes).toBeLessThan((100 + 6 * 2.3) * MIB);
  });

  it("answers the same alone and while the base answers, and otherwise than the base", async () => {
    const alone: Awaited<ReturnType<typeof ask>>[] = [];
    for (const model of MODELS) alone.push(await ask(model));
    expect(await Promise.all(MODELS.map(ask))).toEqual(alone);
    expect(new Set(alone.map((tokens) => JSON.stringify(tokens))).size).toBe(MODELS.length);
  });

  it("is among what auto chooses from", async () => {
    const models = await server.openai.models.list();
    const auto = models.data.find(({ id }) => id === "auto") as unknown as { metadata: { variants: number } };
    expect(auto.metadata.variants).toBe(models.data.length - 1);
    const { response } = await server.openai.chat.completions
      .create({
        model: "auto",
        max_tokens: 2,
        messages: [{ role: "user", content: "Hi" }],
        // These variants are for research, and nothing is recorded of them.
        ...({ budget: { allow_research: true } } as object),
      })
      .withResponse();
    const id = response.headers.get("x-franken-decision");
    const decision = (await get(`/v1/decisions/${id}`)) as { candidates: { variant: string; lost: string }[] };
    const lost = new Map(decision.candidates.map(({ variant, lost }) => [variant, lost]));
    expect([lost.get("made-up-6"), lost.get("made-up-3")]).toEqual(["unscored", "unscored"]);
  });
});
