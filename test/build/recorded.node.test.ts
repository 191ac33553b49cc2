// The scores under scores/, as the build packs them for the gateway.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type RecordedScore, recordScore, TASKS } from "../../evaluation/index.ts";
import { packRecorded } from "../../evaluation/offline/pack-recorded.ts";
import { packSamples } from "../../evaluation/offline/pack-samples.ts";
import { createRecordedScores } from "../../src/monitor/recorded.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "franken-scores-"));
});
afterAll(() => rm(dir, { recursive: true }));

const score: RecordedScore = {
  variant: "a",
  task: "hellaswag",
  command: "npm run eval",
  recorded: "2026-01-01T00:00:00.000Z",
  digests: { variant: "v1", engine: "e1", data: "d1" },
  taskVersion: TASKS.get("hellaswag")!.version,
  seconds: 1,
  metrics: { acc: { value: 0.5, stderr: 0.5 } },
  count: 2,
  results: new Map([
    [3, { acc: 1, choice: 2, logLikelihoods: [-1, -2] }],
    [13, { acc: 0, choice: 1, logLikelihoods: [-3, -4] }],
  ]),
};
const write = async (name: string, text: string): Promise<void> => {
  await mkdir(dirname(join(dir, name)), { recursive: true });
  await writeFile(join(dir, name), text);
};

it("gives back the numbers of each item, for the digest that the variant has now", async () => {
  expect(await packRecorded(join(dir, "nothing"))).toEqual([]);
  await write("hellaswag/a.json", recordScore(score));
  await write("hellaswag/b.json", recordScore({ ...score, variant: "b" }));
  await write("hellaswag/old.json", recordScore({ ...score, variant: "c", taskVersion: score.taskVersion + 1 }));
  const file = await packRecorded(dir);
  const recorded = createRecordedScores(
    JSON.parse(JSON.stringify(file)),
    new Map([
      ["a", "v1"],
      ["b", "changed"],
      ["c", "v1"],
    ]),
  );
  expect(recorded.all.map(({ variant }) => variant)).toEqual(["a"]);
  const found = recorded.of("a", "hellaswag");
  expect(found).toMatchObject({ metrics: score.metrics, digests: score.digests, count: 2, command: "npm run eval" });
  expect([...(found?.results ?? [])]).toEqual([
    [3, { acc: 1, choice: 2 }],
    [13, { acc: 0, choice: 1 }],
  ]);
  expect(recorded.of("b", "hellaswag")).toBeUndefined();
});

it("names a file that is not a recorded score", async () => {
  await write("hellaswag/bad.json", recordScore(score).replace('"count": 2', '"count": 3'));
  await expect(packRecorded(dir)).rejects.toThrow(/scores\/hellaswag.bad\.json is not a recorded score: .*2 rows/);
  await write("hellaswag/bad.json", "{");
  await expect(packRecorded(dir)).rejects.toThrow(/bad\.json is not a recorded score/);
});

it("packs the sample's items, and few bytes of them", async () => {
  const { packed, items } = await packSamples();
  expect(items).toBeGreaterThan(1000);
  expect(packed.length).toBeLessThan(400_000);
});
