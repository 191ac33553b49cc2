// An experiment on the process that `npm start` runs, with the real engine: 300 users, the base against a variant that is nearly as good and one
// that is not; the answers of the base are run through both. The second is stopped by itself, on the evidence of its agreement.
import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";
import { armAt, createUnitHash, layoutOf } from "../../src/experiments/index.ts";

const ARMS = {
  base: "smollm2-135m",
  drop: "smollm2-135m-attn-drop-10",
  franken: "smollm2-135m-franken-mid-expansion-with-repeats",
} as const;
/** Of 8 sampled tokens the second arm agrees on some 47 %, the third on some 11 %: the line is drawn between. */
const MARGIN = 0.7;
const USERS = 300;
/** Users that ask one after the other; then the replica has time to score. */
const WAVE = 20;
const MINUTES = 60_000;
const id = `interop-${Date.now().toString(36)}`;
const HEADER = { "x-interop": id };
// A look at the verdicts every few seconds, and no other measuring; scoring an answer takes several times what giving it took.
const ENV = { SCORES_CRON: "*/5 * * * * *", SCORES_ITEMS_PER_SLICE: "0", SHADOW_SHARE: "30" };

let server: Server;
beforeAll(async () => {
  server = await startServer(await startCommand(), await freePort(), ENV);
});
afterAll(async () => {
  await api("DELETE", `/v1/experiments/${id}`);
  await server?.stop();
});

async function api(method: string, path: string, body?: unknown) {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return JSON.parse(await response.text());
}

const TOPICS = ["rain", "bread", "chess", "the moon", "rivers", "a dog", "trains", "paper", "winter", "music"];
async function ask(user: number): Promise<{ model: string; arm: keyof typeof ARMS }> {
  const content = `Tell me about ${TOPICS[user % TOPICS.length]}, number ${user}.`;
  const body = { model: "auto", user: `user-${user}`, max_tokens: 8, seed: user } as const;
  const { data, response } = await server.openai.chat.completions
    .create({ ...body, messages: [{ role: "user", content }] }, { headers: HEADER })
    .withResponse();
  return { model: data.model, arm: response.headers.get("x-franken-arm") as keyof typeof ARMS };
}

it("stops a treatment that does not agree with the base, by itself, with its evidence on record", {
  timeout: 25 * MINUTES,
}, async () => {
  const created = await api("POST", "/v1/experiments", {
    id,
    arms: Object.entries(ARMS).map(([name, model], k) => ({ name, model, weight: [0.34, 0.33, 0.33][k] })),
    control: "base",
    audience: { header: { name: "x-interop", values: [id] } },
    primary: { metric: "agreement", margin: MARGIN },
    shadow_share: 1,
    window_seconds: 0,
    settle_seconds: 60,
    on_verdict: "stop",
  });
  expect(created).toMatchObject({ status: "running" });

  const arms: string[] = [];
  let expected = 0;
  for (let user = 0; user < USERS; user++) {
    const { arm, model } = await ask(user);
    expect(model).toBe(ARMS[arm]);
    arms.push(arm);
    if (arm === "base") expected++;
    if (user % WAVE < WAVE - 1) continue;
    // Each answer of the base through the treatments that still run, which are two or one.
    await expect
      .poll(() => new Set(server.events("shadow_scored").map(({ requestId }) => requestId)).size, {
        timeout: 2 * MINUTES,
      })
      .toBeGreaterThanOrEqual(expected);
  }
  const stopped = async () => {
    const { log } = await api("GET", `/v1/experiments/${id}`);
    return log.find(({ action }: { action: string }) => action === "stop");
  };
  await expect.poll(stopped, { timeout: 4 * MINUTES, interval: 2_000 }).toBeDefined();

  const { by, detail } = await stopped();
  expect(by).toBe("verdict");
  expect(detail.steps).toMatchObject([
    { action: "stop", arm: "franken", because: [{ metric: "agreement", verdict: "inferior", control_value: 1 }] },
  ]);
  const [evidence] = detail.steps[0].because;
  expect(evidence.series.at(-1).upper).toBeLessThan(-MARGIN);
  expect(detail.weights.franken).toBe(0);
  expect(detail.sample_ratio.alarm).toBe(false);
  // 300 users over three arms: each count within 5 standard deviations of its weight, until the third was stopped.
  const before = arms.slice(0, arms.lastIndexOf("franken") + 1);
  for (const [k, arm] of Object.keys(ARMS).entries()) {
    const [n, weight] = [before.length, [0.34, 0.33, 0.33][k]!];
    const count = before.filter((other) => other === arm).length;
    expect(Math.abs(count - n * weight)).toBeLessThan(5 * Math.sqrt(n * weight * (1 - weight)));
  }

  const svg = join(await mkdtemp(join(tmpdir(), "franken-report-")), "report.svg");
  const command = [join(root, "bin/franken.mjs"), "experiment", "report", id, "--epoch", "0", "--url", server.url];
  const { stdout } = await promisify(execFile)(process.execPath, [...command, "--key", server.key, "--svg", svg]);
  console.log(stdout);
  expect(stdout).toMatch(/^agreement \(primary\) +franken 0\.\d+ +base 1 .* inferior$/m);
  expect(stdout).not.toMatch(/^agreement \(primary\) +drop .* inferior$/m);
  expect(await readFile(svg, "utf8")).toContain("agreement: franken against base: inferior");

  // After a restart everybody who was not in the stopped arm is where they were, and nobody is in that.
  server = await server.restart();
  for (const user of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
    const { arm } = await ask(user);
    if (arms[user] === "franken") expect(arm).not.toBe("franken");
    else expect(arm).toBe(arms[user]);
  }
});

it("puts 10,000 users into arms within chance of the weights, the same ones in another process", async () => {
  const weights = [0.5, 0.3, 0.2];
  const layout = layoutOf(weights.map((weight, k) => ({ name: `arm-${k}`, weight })));
  const key = crypto.getRandomValues(new Uint8Array(16));
  const hash = createUnitHash({ key, experiment: "ten-thousand" });
  const users = Array.from({ length: 10_000 }, (_, user) => `user-${user}`);
  const arms = users.map((user) => armAt(layout, hash(user).place));
  for (const [k, weight] of weights.entries()) {
    const count = arms.filter((arm) => arm === `arm-${k}`).length;
    expect(Math.abs(count - 10_000 * weight)).toBeLessThan(5 * Math.sqrt(10_000 * weight * (1 - weight)));
  }
  const script = `
    import { armAt, createUnitHash, layoutOf } from ${JSON.stringify(join(root, "src/experiments/index.ts"))};
    const layout = layoutOf(${JSON.stringify(weights)}.map((weight, k) => ({ name: "arm-" + k, weight })));
    const hash = createUnitHash({ key: Uint8Array.from(${JSON.stringify([...key])}), experiment: "ten-thousand" });
    console.log(JSON.stringify(${JSON.stringify(users)}.map((user) => armAt(layout, hash(user).place))));`;
  const args = ["--import", "tsx", "--input-type=module", "-e", script];
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, maxBuffer: 2 ** 24 });
  expect(JSON.parse(stdout)).toEqual(arms);
});
