// Bundles both Workers with wrangler, exactly as they deploy.

import { spawn } from "node:child_process";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { commandVariable } from "../src/config.ts";
import { root, workersDir } from "./paths.ts";

/** A Worker: its configuration file, and the folder under dist/workers that its bundle goes to. */
export interface WorkerSource {
  readonly name: string;
  readonly config: string;
  /** The module that it starts with, as its configuration file says. */
  readonly entry: string;
  /** The script's name in its configuration file, by which others bind to it. */
  readonly script: string;
}

const GATEWAY: WorkerSource = {
  name: "gateway",
  config: "wrangler.toml",
  entry: "src/gateway.ts",
  script: "franken-gateway",
};
const REPLICAS: Record<string, WorkerSource> = {
  wasm: { name: "replica", config: "wrangler.replica.toml", entry: "src/replica.ts", script: "franken-replica" },
  onnx: {
    name: "replica-onnx",
    config: "wrangler.replica-onnx.toml",
    entry: "src/replica-onnx.ts",
    script: "franken-replica",
  },
};

/**
 * The Workers to run, the one that clients reach first.
 * @param engine whose replica: `wasm` or `onnx`
 */
export function workersFor(engine = commandVariable("ENGINE") ?? "wasm"): readonly WorkerSource[] {
  const replica = REPLICAS[engine];
  if (!replica) throw new Error(`ENGINE is ${engine}; it may be ${Object.keys(REPLICAS).join(" or ")}`);
  return [GATEWAY, replica];
}

/** Keeps wrangler off the network and its banner off the terminal. */
export const quietWrangler = {
  CI: "1",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
};

/** Bundles a Worker into its folder. */
export async function bundleWorker({ name, config }: WorkerSource): Promise<void> {
  const outdir = join(workersDir, name);
  await rm(outdir, { recursive: true, force: true });
  await bundle(config, outdir);
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
