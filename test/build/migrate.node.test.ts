// The local database as `npm start` makes it, in a folder of the test's own.
import { cp, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, it } from "vitest";
import { applyMigrations } from "../../build/migrations.ts";
import { root } from "../../build/paths.ts";

let dir: string;
let miniflare: Miniflare;
const start = () =>
  new Miniflare({
    modules: true,
    script: "export default {};",
    compatibilityDate: "2026-04-01",
    d1Databases: ["DB"],
    defaultPersistRoot: join(dir, "state"),
    cf: false,
  });
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "franken-migrations-"));
  await cp(join(root, "migrations"), join(dir, "migrations"), { recursive: true });
  miniflare = start();
});
afterAll(async () => {
  await miniflare.dispose();
  await rm(dir, { recursive: true });
});

const apply = async (): Promise<string[]> => {
  const names: string[] = [];
  await applyMigrations(await miniflare.getD1Database("DB"), (name) => names.push(name), join(dir, "migrations"));
  return names;
};
const tables = async (): Promise<string[]> => {
  const db = await miniflare.getD1Database("DB");
  const { results } = await db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all<{ name: string }>();
  return results.map(({ name }) => name);
};

it("applies each migration once, also after a restart, and a new one when it comes", async () => {
  expect(await apply()).toEqual((await readdir(join(root, "migrations"))).sort());
  expect(await tables()).toEqual(expect.arrayContaining(["scores", "items", "quarantine"]));
  await miniflare.dispose();
  miniflare = start();
  expect(await apply()).toEqual([]);
  await writeFile(
    join(dir, "migrations/9998_more.sql"),
    "-- a comment; with a semicolon\nCREATE TABLE more (id TEXT);\n",
  );
  expect(await apply()).toEqual(["9998_more.sql"]);
  expect(await tables()).toContain("more");
});

it("names a migration that fails, and applies nothing of it", async () => {
  await writeFile(
    join(dir, "migrations/9999_bad.sql"),
    "CREATE TABLE half (id TEXT);\nCREATE TABLE scores (id TEXT);\n",
  );
  await expect(apply()).rejects.toThrow(/migration 9999_bad.sql failed: .*scores/);
  expect(await tables()).not.toContain("half");
});
