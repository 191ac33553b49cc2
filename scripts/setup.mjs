// What `npm start` and `npm test` run first: installs what the lockfile names when that is missing or older, then builds what is stale.
// It may import nothing but Node itself, because it runs before anything is installed.
import { spawn } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { takeLock } from "./lock.mjs";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

// For tests, which are of what ships.
if (process.argv.includes("--without-artifacts")) process.env.FRANKEN_ARTIFACTS = "none";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  console.error(`Node ${process.versions.node} is too old: Franken Gateway needs Node 20.20 or newer.`);
  process.exit(1);
}

// Not `spawnSync`: the lock is held by an event loop that runs.
const run = (command, args, options = {}) =>
  new Promise((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ["ignore", 2, "inherit"], ...options });
    child.once("error", (error) => {
      console.error(`${command}: ${error.message}`);
      process.exit(1);
    });
    child.once("exit", (status) => (status === 0 ? resolve() : process.exit(status ?? 1)));
  });

/** Two set-ups at a time would write the same files: the second one waits, and finds everything fresh. */
async function lockSetup() {
  for (let waiting = false; ; waiting = true) {
    const release = await takeLock(`set-up of ${root}`);
    if (release) return release;
    if (!waiting) console.error("another process installs or builds here: waiting for it …");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

const changed = (path) => statSync(join(root, path)).mtimeMs;
const installed = "node_modules/.package-lock.json";
const release = await lockSetup();
if (!existsSync(join(root, installed)) || changed(installed) < changed("package-lock.json")) {
  console.error("installing dependencies (npm ci) …");
  await run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip", ONNXRUNTIME_NODE_INSTALL_CUDA: "skip" },
    shell: process.platform === "win32",
  });
}
await run(process.execPath, ["--import", "tsx", "scripts/build.ts"]);
await release();
