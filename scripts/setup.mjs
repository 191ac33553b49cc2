// What `npm start` and `npm test` run first: installs what the lockfile names when that is missing or older, then builds what is stale.
// It may import nothing but Node itself, because it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

// For tests, which are of what ships.
if (process.argv.includes("--without-artifacts")) process.env.FRANKEN_ARTIFACTS = "none";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 20)) {
  console.error(`Node ${process.versions.node} is too old: Franken Gateway needs Node 20.20 or newer.`);
  process.exit(1);
}

const run = (command, args, options = {}) => {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, "inherit"], ...options });
  if (error) console.error(`${command}: ${error.message}`);
  if (status !== 0) process.exit(status ?? 1);
};

const changed = (path) => statSync(join(root, path)).mtimeMs;
const installed = "node_modules/.package-lock.json";
if (!existsSync(join(root, installed)) || changed(installed) < changed("package-lock.json")) {
  console.error("installing dependencies (npm ci) …");
  run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: "skip", ONNXRUNTIME_NODE_INSTALL_CUDA: "skip" },
    shell: process.platform === "win32",
  });
}
run(process.execPath, ["--import", "tsx", "scripts/build.ts"]);
