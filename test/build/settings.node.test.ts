// What `npm start` refuses before it starts anything, and what it says.
import { createServer } from "node:net";
import type { WorkerOptions } from "miniflare";
import { afterEach, expect, it, vi } from "vitest";
import { freePort } from "../../bench/service-process.ts";
import { localRuntime } from "../../build/local-runtime.ts";
import { checkWorkers, HOST, readSettings } from "../../scripts/settings.ts";
import { storageTrouble } from "../../scripts/state.ts";

afterEach(() => vi.unstubAllEnvs());

it.each([
  ["PORT", "abc", "a whole number from 1 to 65535"],
  ["PORT", "0", "a whole number from 1 to 65535"],
  ["PORT", "80.5", "a whole number from 1 to 65535"],
  ["INSPECTOR_PORT", "abc", "a whole number from 1 to 65535"],
  ["INSPECTOR_PORT", "99999", "a whole number from 1 to 65535"],
  ["SCORES_CRON", "sometimes", "a cron expression"],
])("refuses %s=%s and says what is allowed", async (name, value, allowed) => {
  vi.stubEnv("PORT", String(await freePort()));
  vi.stubEnv(name, value);
  await expect(readSettings()).rejects.toThrow(`${name} is ${value}; it must be ${allowed}`);
});

it.each(["PORT", "INSPECTOR_PORT"])("says what to do when the port of %s is taken", async (name) => {
  const port = await freePort();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, HOST, resolve));
  try {
    vi.stubEnv("PORT", String(await freePort()));
    vi.stubEnv(name, String(port));
    await expect(readSettings()).rejects.toThrow(`${name}=${port + 1} npm start`);
  } finally {
    server.close();
  }
});

it.each([
  ["REQUEST_DEADLINE_MS", "abc"],
  ["REQUEST_DEADLINE_MS", "3000000000"],
  ["ROUTING_QUANTILE", "1"],
  ["RESPONSES_KEPT_DAYS", "-1"],
  ["SCORES_ITEMS_PER_SLICE", "x"],
  ["SCORES_ITEMS_PER_RUN", "0"],
  ["SCORES_NULL_RATE", "1"],
  ["MEMORY_CEILING_MIB", "abc"],
  ["ISOLATE_CEILING_MIB", "0"],
  ["SHADOW_SHARE", "abc"],
])("refuses %s=%s as the Workers would, before they run", async (name, value) => {
  vi.stubEnv(name, value);
  const { workers } = await localRuntime();
  expect(() => checkWorkers(workers)).toThrow(`${name} is ${value}; it must be a`);
});

it.each([
  ['[{"key": "sk-a"', "API_KEYS cannot be read"],
  ['[{"key": "sk-a", "admin": "yes"}]', "neither true nor false"],
  [undefined, "API_KEYS"],
])("refuses API_KEYS that are %s", async (value, message) => {
  const { workers } = await localRuntime();
  const given = workers.map(({ bindings, ...rest }: WorkerOptions) => ({
    ...rest,
    bindings: { ...bindings, API_KEYS: value },
  }));
  expect(() => checkWorkers(given as never)).toThrow(message);
});

it("takes the key for its example from where the Workers read it", async () => {
  const { workers } = await localRuntime();
  const API_KEYS = '["sk-plain", {"requests_per_minute": 9, "admin": true, "key": "sk-admin"}]';
  expect(
    checkWorkers(workers.map((worker: WorkerOptions) => ({ ...worker, bindings: { ...worker.bindings, API_KEYS } }))),
  ).toBe("sk-admin");
});

it("says plainly, once a minute, that a database cannot be written", () => {
  let now = 0;
  const trouble = storageTrouble("/state", () => now);
  expect(trouble('{"event":"request"}')).toBeUndefined();
  const line = "dbErrorMessage(err, db) = database or disk is full: SQLITE_FULL";
  expect(JSON.parse(trouble(line) as string)).toMatchObject({ event: "storage_failing", folder: "/state" });
  expect(trouble(line)).toBeUndefined();
  now += 60_001;
  expect(trouble(line)).toContain("the disk is full");
});
