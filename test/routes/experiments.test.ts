import { beforeEach, describe, expect, test } from "vitest";
import { ADMIN, DROP, definition, type ExperimentGateway, experimentGateway } from "./experiments-setup.ts";
import { errorOf, KEY, quarantining } from "./gateway.ts";

let gateway: ExperimentGateway;
beforeEach(async () => {
  gateway = await experimentGateway();
  for (const { spec } of await gateway.experiments.store.list())
    await gateway.admin("DELETE", `/v1/experiments/${spec.id}`);
});
let serial = 0;
/** Ids are never given twice. */
const newId = (): string => `x${serial++}`;
const create = async (more: object = {}) => {
  const id = newId();
  const response = await gateway.admin("POST", "/v1/experiments", definition(id, more));
  if (!response.ok) throw new Error(await response.text());
  return id;
};
const read = async <T = Record<string, unknown>>(response: Response | Promise<Response>): Promise<T> =>
  (await response).json() as Promise<T>;

describe("who may", () => {
  test.each([
    ["POST", ""],
    ["GET", ""],
    ["GET", "/x"],
    ["PATCH", "/x"],
    ["DELETE", "/x"],
    ["GET", "/x/results"],
  ])("%s /v1/experiments%s is for admin keys", async (method, path) => {
    const response = await gateway.fetch(`/v1/experiments${path}`, {
      method,
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect(response.status).toBe(403);
    expect(await errorOf(response)).toMatchObject({ code: "insufficient_permissions", type: "invalid_request_error" });
  });

  test("a gateway without a database says so", async () => {
    const without = await experimentGateway({ experiments: undefined });
    const response = await without.admin("POST", "/v1/experiments", definition("none"));
    expect(response.status).toBe(404);
    expect((await errorOf(response)).message).toContain("bind a D1 database");
  });
});

describe("an experiment", () => {
  test("is created, listed, told with its log, and deleted for good", async () => {
    const id = await create();
    const told = await read(gateway.admin("GET", `/v1/experiments/${id}`));
    expect(told).toMatchObject({
      object: "experiment",
      id,
      status: "running",
      epoch: 0,
      epochs: [{ weights: { base: 0.5, drop: 0.5 } }],
      definition: { alpha: 0.05, unit: "user", on_verdict: "none", audience: { share: 1 } },
      log: [{ action: "create", by: expect.stringMatching(/^[0-9a-f]{16}$/) }],
    });
    expect(JSON.stringify(told)).not.toContain(ADMIN);
    expect(await read(gateway.admin("GET", "/v1/experiments"))).toMatchObject({ data: [{ id }] });
    expect(await read(gateway.admin("DELETE", `/v1/experiments/${id}`))).toMatchObject({ deleted: true });
    expect((await gateway.admin("GET", `/v1/experiments/${id}`)).status).toBe(404);
    expect((await gateway.admin("DELETE", `/v1/experiments/${id}`)).status).toBe(404);
    const again = await gateway.admin("POST", "/v1/experiments", definition(id));
    expect([again.status, (await errorOf(again)).param]).toEqual([400, "id"]);
  });

  test("gets a new epoch with new weights, and each step is in its log", async () => {
    const id = await create();
    const changed = await read(gateway.admin("PATCH", `/v1/experiments/${id}`, { weights: { base: 0.2, drop: 0.8 } }));
    expect(changed).toMatchObject({
      epoch: 1,
      epochs: [{ weights: { drop: 0.5 } }, { weights: { base: 0.2, drop: 0.8 } }],
    });
    await gateway.admin("PATCH", `/v1/experiments/${id}`, { end: "2200-01-01T00:00:00Z", on_verdict: "stop" });
    await gateway.admin("PATCH", `/v1/experiments/${id}`, { status: "stopped" });
    const { log, status } = await read<{ log: { action: string; detail: unknown }[]; status: string }>(
      gateway.admin("GET", `/v1/experiments/${id}`),
    );
    expect(status).toBe("stopped");
    expect(log.map(({ action }) => action)).toEqual(["create", "change", "change", "stop_experiment"]);
    expect(log[1]?.detail).toEqual({ weights: { base: 0.2, drop: 0.8 } });
  });

  test("that is scheduled can be moved, and started before its time", async () => {
    const id = await create({ start: "2199-01-01T00:00:00Z", end: "2200-01-01T00:00:00Z" });
    expect((await gateway.ask("ada")).headers.get("x-franken-experiment")).toBeNull();
    const moved = await read(gateway.admin("PATCH", `/v1/experiments/${id}`, { start: "2199-06-01T00:00:00Z" }));
    expect(moved).toMatchObject({ status: "scheduled", epoch: 0, epochs: [{ from: "2199-06-01T00:00:00.000Z" }] });
    expect(await read(gateway.admin("PATCH", `/v1/experiments/${id}`, { status: "running" }))).toMatchObject({
      status: "running",
    });
    expect((await gateway.ask("ada")).headers.get("x-franken-experiment")).toBe(id);
  });

  test("is changed by two at once without losing a step", async () => {
    const id = await create();
    const weights = [0.1, 0.2, 0.3].map((base) => ({ weights: { base, drop: 1 - base } }));
    const replies = await Promise.all(weights.map((body) => gateway.admin("PATCH", `/v1/experiments/${id}`, body)));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200]);
    const { epoch, log } = await read<{ epoch: number; log: unknown[] }>(gateway.admin("GET", `/v1/experiments/${id}`));
    expect([epoch, log.length]).toEqual([3, 4]);
  });
});

describe("bad input", () => {
  const arms = (...weights: number[]) => ({
    arms: weights.map((weight, i) => ({ name: i === 0 ? "base" : `arm${i}`, model: DROP, weight })),
  });
  test.each([
    ["weights that do not sum to 1", arms(0.5, 0.4), "arms"],
    [
      "a variant that is not there",
      {
        arms: [
          { name: "base", model: "nope", weight: 0.5 },
          { name: "b", model: DROP, weight: 0.5 },
        ],
      },
      "arms.0.model",
    ],
    ["a control that is no arm", { control: "x" }, "control"],
    ["a negative margin", { primary: { metric: "rating", margin: -0.1 } }, "primary.margin"],
    ["a margin of 0", { primary: { metric: "rating", margin: 0 } }, "primary.margin"],
    ["an unbounded metric", { primary: { metric: "kl", margin: 0.1 } }, "primary.metric"],
    [
      "a policy of a pinned arm",
      {
        arms: [
          { name: "base", model: DROP, weight: 0.5, policy: {} },
          { name: "b", model: "auto", weight: 0.5 },
        ],
      },
      "arms.0.policy",
    ],
    [
      "an unknown policy",
      {
        arms: [
          { name: "base", model: "auto", weight: 0.5, policy: { magic: 1 } },
          { name: "b", model: "auto", weight: 0.5 },
        ],
      },
      "arms.0.policy",
    ],
    ["an end in the past", { end: "2001-01-01T00:00:00Z" }, "end"],
    ["an unknown field", { wieghts: [] }, null],
    ["a share of 0", { audience: { share: 0 } }, "audience.share"],
  ])("%s is a 400", async (_, more, param) => {
    const response = await gateway.admin("POST", "/v1/experiments", definition(newId(), more));
    expect(response.status).toBe(400);
    expect((await errorOf(response)).param).toBe(param);
  });

  test("a quarantined arm", async () => {
    const other = await experimentGateway({ scores: quarantining(DROP) });
    const error = await errorOf(await other.admin("POST", "/v1/experiments", definition(newId())));
    expect(error).toMatchObject({ param: "arms.1.model", message: expect.stringContaining("it disagrees") });
  });

  test("audiences that overlap, until they do not", async () => {
    const one = await create({ audience: { keys: ["k1", "k2"] } });
    const response = await gateway.admin(
      "POST",
      "/v1/experiments",
      definition(newId(), { audience: { keys: ["k2"] } }),
    );
    expect(await errorOf(response)).toMatchObject({ param: "audience", message: expect.stringContaining(one) });
    await create({ audience: { keys: ["k3"] } });
    await gateway.admin("PATCH", `/v1/experiments/${one}`, { status: "stopped" });
    await create({ audience: { keys: ["k2"] } });
  });

  test("audiences that overlap of two that come at the same instant: one is refused", async () => {
    const both = [newId(), newId()].map((id) => definition(id, { audience: { keys: ["k9"] } }));
    const replies = await Promise.all(both.map((body) => gateway.admin("POST", "/v1/experiments", body)));
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 400]);
    const refused = replies.find(({ status }) => status === 400) as Response;
    expect((await errorOf(refused)).param).toBe("audience");
  });

  test.each([
    ["weights", { weights: { base: 0.2 } }, "weights"],
    ["an arm", { weights: { base: 0.2, nope: 0.8 } }, "weights.nope"],
    ["a weight", { weights: { base: -1, drop: 2 } }, "weights.base"],
    ["start", { start: "2200-01-01T00:00:00Z" }, "start"],
    ["end", { end: "2001-01-01T00:00:00Z" }, "end"],
    ["status", { status: "running" }, "status"],
    ["another status", { status: "paused" }, "status"],
    ["nothing", {}, null],
    ["what cannot be changed", { unit: "key" }, null],
  ])("a change of %s that cannot be is a 400", async (_, patch, param) => {
    const id = await create();
    const response = await gateway.admin("PATCH", `/v1/experiments/${id}`, patch);
    expect([response.status, (await errorOf(response)).param]).toEqual([400, param]);
  });

  test("a stopped experiment is not changed: 400 with the field", async () => {
    const id = await create();
    await gateway.admin("PATCH", `/v1/experiments/${id}`, { status: "stopped" });
    const response = await gateway.admin("PATCH", `/v1/experiments/${id}`, { weights: { base: 0.2, drop: 0.8 } });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ param: "weights", message: expect.stringContaining("is stopped") });
  });

  test("an epoch that is not there", async () => {
    const id = await create();
    const response = await gateway.admin("GET", `/v1/experiments/${id}/results?epoch=3`);
    expect([response.status, (await errorOf(response)).param]).toEqual([400, "epoch"]);
    expect((await gateway.admin("GET", `/v1/experiments/${id}/results?epoch=-1`)).status).toBe(400);
  });
});
