// The key that commands take from where `npm start` has its keys.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findKey } from "../../cli/gateway.ts";

let folder: string;
beforeEach(async () => {
  vi.stubEnv("OPENAI_API_KEY", "");
  folder = await mkdtemp(join(tmpdir(), "franken-vars-"));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true });
});

it.each([
  ['API_KEYS="plain-key"', "plain-key"],
  ['# keys\nOTHER=1\nAPI_KEYS=["one", "two"]', "one"],
  [`API_KEYS='["one", {"requests_per_minute": 5, "admin": true, "key": "two"}]'`, "two"],
])("is read from %j as the service reads it", async (text, key) => {
  const file = join(folder, ".dev.vars");
  await writeFile(file, `${text}\n`);
  expect(await findKey(undefined, file)).toBe(key);
});

it("is asked for where there is none, or none that can be read", async () => {
  const file = join(folder, ".dev.vars");
  await expect(findKey(undefined, file)).rejects.toThrow("there is no API key: give one with --key");
  await writeFile(file, `API_KEYS='[{"key": "sk-secret"'\n`);
  await expect(findKey(undefined, file)).rejects.toThrow(/\.dev\.vars: .*cannot be read/);
});
