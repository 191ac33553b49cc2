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

/** Units that met their arm and rated it, one a second; those of the treatment badly. @param treated whether a unit is in the treatment */
async function observe(id: string, units: number, treated: (i: number) => boolean): Promise<void> {
  const rows = Array.from({ length: units }, (_, i) => {
    const arm = treated(i) ? "drop" : "base";
    const unit = `u${String(i).padStart(5, "0")}`;
    return { unit, arm, place: arm === "base" ? 1 : 999_999, value: arm === "base" ? 1 : -1, at: clock + i };
  });
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
        `INSERT INTO outcomes (id, experiment, epoch, unit, arm, request, metric, value, begun_at, at) SELECT ?1 || '/' || ${of("unit")} || '/rating', ?1, 0, ${of("unit")}, ${of("arm")}, ${of("unit")}, 'rating', ${of("value")}, ${of("at")}, ${of("at")} ${from}`,
      )
      .bind(id, json),
  ]);
}

async function create(id: string): Promise<void> {
  const more = { on_verdict: "both", audience: { keys: [id] } };
  const response = await gateway.admin("POST", "/v1/experiments", definition(id, more));
  if (!response.ok) throw new Error(await response.text());
}
const told = async (id: string) =>
  (await (await gateway.admin("GET", `/v1/experiments/${id}`)).json()) as {
    epochs: { weights: Record<string, number> }[];
    log: LogEntry[];
  };

test("a loser is stopped once, with the evidence in the log, and results stay those of the epoch that compared", async () => {
  await create("loser");
  await observe("loser", 400, (i) => i % 2 === 1);
  const results = (await (await gateway.admin("GET", "/v1/experiments/loser/results")).json()) as {
    metrics: { verdict: string; series: { units: number }[] }[];
  };
  expect(results).toMatchObject({ epoch: 0, sample_ratio: { alarm: false, exposed: { base: 200, drop: 200 } } });
  expect(results.metrics[0]).toMatchObject({ verdict: "inferior", treatment_value: -1, control_value: 1 });
  expect(results.metrics[0]?.series.at(-1)?.units).toBe(400);
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
  expect(await (await gateway.admin("GET", "/v1/experiments/loser/results")).json()).toMatchObject({ epoch: 0 });
});

test("a broken split blocks the verdict, and is on record once", async () => {
  await create("broken");
  await observe("broken", 400, (i) => i % 4 === 1);
  await gateway.experiments.look();
  await gateway.experiments.look();
  await gateway.flush();
  const { epochs, log } = await told("broken");
  expect(epochs).toHaveLength(1);
  expect(log.map(({ action }) => action)).toEqual(["create", "sample_ratio_alarm"]);
  expect(log[1]?.detail).toMatchObject({ sample_ratio: { alarm: true } });
});
