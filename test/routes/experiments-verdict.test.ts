import { beforeAll, expect, test } from "vitest";
import type { LogEntry } from "../../src/experiments/live/index.ts";
import { definition, type ExperimentGateway, experimentGateway } from "./experiments-setup.ts";

let gateway: ExperimentGateway;
const started = Date.now();
/** Units close with time: the test's clock is ahead. */
let clock = started;
beforeAll(async () => {
  gateway = await experimentGateway({ now: () => clock });
});

interface Observed {
  readonly arm: string;
  /** Of the ring of a million places, which the arms of an epoch share by weight. */
  readonly place: number;
  readonly rating: number;
}
const base: Observed = { arm: "base", place: 1, rating: 0 };
const drop: Observed = { arm: "drop", place: 999_999, rating: 0 };

/** Units that met their arm and rated it, one a second. */
async function observe(id: string, units: number, meet: (i: number) => Observed): Promise<void> {
  const rows = Array.from({ length: units }, (_, i) => ({
    unit: `u${String(i).padStart(5, "0")}`,
    at: clock + i,
    ...meet(i),
  }));
  clock += units + 1;
  const json = JSON.stringify(rows);
  const from = "FROM json_each(?2)";
  const of = (name: string): string => `json_extract(value, '$.${name}')`;
  await gateway.db.batch([
    gateway.db
      .prepare(
        `INSERT INTO exposures (id, experiment, epoch, unit, arm, place, at) SELECT ?1 || '/0/' || ${of("unit")}, ?1, 0, ${of("unit")}, ${of("arm")}, ${of("place")}, ${of("at")} ${from}`,
      )
      .bind(id, json),
    gateway.db
      .prepare(
        `INSERT INTO outcomes (id, experiment, epoch, unit, arm, request, metric, value, begun_at, at) SELECT ?1 || '/' || ${of("unit")} || '/rating', ?1, 0, ${of("unit")}, ${of("arm")}, ${of("unit")}, 'rating', ${of("rating")}, ${of("at")}, ${of("at")} ${from}`,
      )
      .bind(id, json),
  ]);
}

async function create(id: string, own: object = {}): Promise<void> {
  const more = { on_verdict: "both", audience: { header: { name: "x-team", values: [id] } }, ...own };
  const response = await gateway.admin("POST", "/v1/experiments", definition(id, more));
  if (!response.ok) throw new Error(await response.text());
}
const results = async (id: string) =>
  (await (await gateway.admin("GET", `/v1/experiments/${id}/results`)).json()) as {
    epoch: number;
    metrics: { verdict: string; series: { units: number }[] }[];
  };
/** Arms that users are sent to now. */
const armsOf = async (id: string): Promise<Set<string | null>> => {
  const arms = new Set<string | null>();
  for (let i = 0; i < 12; i++) {
    arms.add((await gateway.ask(`user-${i}`, { "x-team": id })).headers.get("x-franken-arm"));
  }
  return arms;
};
const told = async (id: string) =>
  (await (await gateway.admin("GET", `/v1/experiments/${id}`)).json()) as {
    epochs: { weights: Record<string, number> }[];
    log: LogEntry[];
  };

test("a loser is stopped once, with the evidence in the log, and results stay those of the epoch that compared", async () => {
  await create("loser");
  await observe("loser", 400, (i) => (i % 2 === 1 ? { ...drop, rating: -1 } : { ...base, rating: 1 }));
  const compared = await results("loser");
  expect(compared).toMatchObject({ epoch: 0, sample_ratio: { alarm: false, exposed: { base: 200, drop: 200 } } });
  expect(compared.metrics[0]).toMatchObject({ verdict: "inferior", treatment_value: -1, control_value: 1 });
  expect(compared.metrics[0]?.series.at(-1)?.units).toBe(400);
  await gateway.experiments.look();
  await gateway.experiments.look();
  const { epochs, log } = await told("loser");
  expect(epochs.at(-1)?.weights).toEqual({ base: 1, drop: 0 });
  expect(log.map(({ action, by }) => [action, by === "verdict"])).toEqual([
    ["create", false],
    ["stop", true],
  ]);
  expect(log[1]?.detail).toMatchObject({
    epoch: 0,
    steps: [
      { action: "stop", arm: "drop", because: [{ metric: "rating", verdict: "inferior", series: [{ units: 400 }] }] },
    ],
    weights: { base: 1, drop: 0 },
  });
  expect(await results("loser")).toMatchObject({ epoch: 0 });
  expect(await armsOf("loser")).toEqual(new Set(["base"]));
});

test("a winner gets all that the experiment takes, once, with the evidence in the log", async () => {
  await create("winner", { promote_when: "superior" });
  expect(await armsOf("winner")).toEqual(new Set(["base", "drop"]));
  await observe("winner", 400, (i) => (i % 2 === 1 ? { ...drop, rating: 1 } : { ...base, rating: -1 }));
  await gateway.experiments.look();
  await gateway.experiments.look();
  const { epochs, log } = await told("winner");
  expect(epochs.map(({ weights }) => weights)).toEqual([
    { base: 0.5, drop: 0.5 },
    { base: 0, drop: 1 },
  ]);
  expect(log.map(({ action }) => action)).toEqual(["create", "promote"]);
  expect(log[1]?.detail).toMatchObject({
    steps: [{ action: "promote", arm: "drop", because: [{ metric: "rating", verdict: "superior" }] }],
    weights: { base: 0, drop: 1 },
  });
  expect(await armsOf("winner")).toEqual(new Set(["drop"]));
});

test("two losers are stopped in one step, and the others share what they had", async () => {
  const names = ["base", "good", "bad", "worse"];
  const model = "smollm2-135m-attn-drop-10";
  await create("losers", {
    arms: names.map((name) => ({ name, model, weight: 0.25 })),
    on_verdict: "stop",
  });
  await observe("losers", 1200, (i) => ({
    arm: names[i % 4] as string,
    place: 250_000 * (i % 4) + 1,
    rating: [0.5, 0.5, -0.5, -1][i % 4] as number,
  }));
  await gateway.experiments.look();
  const { epochs, log } = await told("losers");
  expect(log.map(({ action }) => action)).toEqual(["create", "stop"]);
  expect((log[1]?.detail as { steps: { arm: string }[] }).steps.map(({ arm }) => arm)).toEqual(["bad", "worse"]);
  expect(epochs.at(-1)?.weights).toEqual({ base: 0.5, good: 0.5, bad: 0, worse: 0 });
  expect(await armsOf("losers")).toEqual(new Set(["base", "good"]));
});

test("after its end an experiment takes no requests and no steps, and its results stay", async () => {
  const end = new Date(clock + 1_000_000).toISOString();
  await create("over", { end });
  await observe("over", 400, (i) => (i % 2 === 1 ? { ...drop, rating: -1 } : { ...base, rating: 1 }));
  expect(await armsOf("over")).toEqual(new Set(["base", "drop"]));
  clock = Date.parse(end);
  await gateway.experiments.look();
  expect(await armsOf("over")).toEqual(new Set([null]));
  expect((await told("over")).log.map(({ action }) => action)).toEqual(["create"]);
  expect((await results("over")).metrics[0]).toMatchObject({ verdict: "inferior" });
  const response = await gateway.admin("PATCH", "/v1/experiments/over", { end: "2200-01-01T00:00:00Z" });
  expect([response.status, await response.text()]).toEqual([400, expect.stringContaining("has ended")]);
});

test("a broken split blocks the verdict, and is on record once", async () => {
  await create("broken");
  await observe("broken", 400, (i) => (i % 4 === 1 ? { ...drop, rating: -1 } : { ...base, rating: 1 }));
  await gateway.experiments.look();
  await gateway.experiments.look();
  await gateway.flush();
  const { epochs, log } = await told("broken");
  expect(epochs).toHaveLength(1);
  expect(log.map(({ action }) => action)).toEqual(["create", "sample_ratio_alarm"]);
  expect(log[1]?.detail).toMatchObject({ sample_ratio: { alarm: true } });
});
