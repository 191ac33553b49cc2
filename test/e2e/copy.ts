// A copy of the project to build and start in: what a test does to dist/ is then nobody else's business.
import { spawnSync } from "node:child_process";
import { cp, mkdtemp, readdir, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../build/paths.ts";

const SOURCES = ["build", "cli", "evaluation", "formats", "scripts", "src"];
/** The build checks the links of docs/, which lead to files beside it, too. */
const COPIED = ["dist", "docs", "training", ...SOURCES];
const LINKED = ["data", "migrations", "models", "node_modules", "scores"];

/** @returns its folder; what is built there is as fresh as here */
export async function copyProject(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "franken-project-"));
  const entries = await readdir(root, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith(".")).map(({ name }) => name);
  for (const name of [...COPIED, ...files]) {
    // What tests against real peers left there is large, and nothing that is served.
    const filter = (path: string): boolean => path !== join(root, "dist/interop");
    await cp(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true, filter });
  }
  for (const name of LINKED) await symlink(join(root, name), join(folder, name));
  return folder;
}

/**
 * Builds in a copy what `npm start` would build first.
 * @returns what was printed meanwhile
 */
export function setUp(project: string, env: Record<string, string>): string {
  const { stderr, status } = spawnSync(process.execPath, ["scripts/setup.mjs"], {
    cwd: project,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (status !== 0) throw new Error(stderr);
  return stderr;
}
