#!/usr/bin/env node
// `npx franken`: sets the project up when nothing is installed yet, then runs cli/main.ts.
import { spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
if (!existsSync(join(root, "node_modules/.package-lock.json"))) {
  const { status } = spawnSync(process.execPath, [join(root, "scripts/setup.mjs")], {
    stdio: ["ignore", 2, "inherit"],
  });
  if (status !== 0) process.exit(status ?? 1);
}
const child = spawn(
  process.execPath,
  ["--import", import.meta.resolve("tsx"), join(root, "cli/main.ts"), ...process.argv.slice(2)],
  { stdio: "inherit" },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
// A shell's way of saying that a signal ended it.
child.on("exit", (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)));
