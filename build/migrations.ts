// Applies migrations/ to the local database as `wrangler d1 migrations apply` does, in its table and its order, but within the runtime
// that is about to serve: without the seconds that wrangler takes to start.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Miniflare } from "miniflare";
import { root } from "./paths.ts";

type Database = Awaited<ReturnType<Miniflare["getD1Database"]>>;

/**
 * @param onApply called with a migration's file name before it is applied
 * @throws Error that names the migration that D1 refused; it is not applied in part
 */
export async function applyMigrations(
  db: Database,
  onApply: (name: string) => void,
  dir = join(root, "migrations"),
): Promise<void> {
  await db
    .prepare(
      "CREATE TABLE IF NOT EXISTS d1_migrations (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, applied_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP NOT NULL)",
    )
    .run();
  const { results } = await db.prepare("SELECT name FROM d1_migrations").all<{ name: string }>();
  const applied = new Set(results.map(({ name }) => name));
  const pending = (await readdir(dir)).filter((name) => name.endsWith(".sql") && !applied.has(name)).sort();
  for (const name of pending) {
    onApply(name);
    const { unstable_splitSqlQuery } = await import("wrangler");
    const statements = unstable_splitSqlQuery(await readFile(join(dir, name), "utf8"));
    try {
      await db.batch([
        ...statements.map((statement) => db.prepare(statement)),
        db.prepare("INSERT INTO d1_migrations (name) VALUES (?)").bind(name),
      ]);
    } catch (error) {
      throw new Error(`migration ${name} failed: ${(error as Error).message}`);
    }
  }
}
