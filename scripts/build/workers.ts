// Bundles both Workers with wrangler, exactly as they deploy.
import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { root, workersDir } from "./paths.ts";

/** Configuration file and folder under dist/workers of each Worker; the first is the one that clients reach. */
export const WORKERS = [
  { name: "gateway", config: "wrangler.toml" },
  { name: "replica", config: "wrangler.replica.toml" },
] as const;

/** Keeps wrangler off the network and its banner off the terminal. */
export const quietWrangler = {
  CI: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
};

export async function bundleWorkers(): Promise<void> {
  await rm(workersDir, { recursive: true, force: true });
  await Promise.all(WORKERS.map(({ name, config }) => bundle(config, join(workersDir, name))));
}

/** @throws Error with wrangler's output when it fails */
export function bundle(config: string, outdir: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const wrangler = spawn(
      process.execPath,
      [join(root, "node_modules/wrangler/bin/wrangler.js"), "deploy", "--dry-run", "-c", config, "--outdir", outdir],
      { cwd: root, env: { ...process.env, ...quietWrangler }, stdio: ["ignore", "pipe", "pipe"] },
    );
    let output = "";
    wrangler.stdout.on("data", (chunk) => (output += chunk));
    wrangler.stderr.on("data", (chunk) => (output += chunk));
    wrangler.on("error", reject);
    wrangler.on("close", (code) =>
      code === 0 ? resolve() : reject(new Error(`bundling ${config} failed:\n${output}`)),
    );
  });
}
