// What `npm start` is configured with, checked before anything starts: each mistake is one line that names the
// variable and what is allowed.
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { Cron } from "croner";
import type { WorkerOptions } from "miniflare";
import { root } from "../build/paths.ts";
import { readKeys } from "../src/access/index.ts";
import { commandVariable, gatewayVariables, readVariables, replicaVariables } from "../src/config.ts";

export const HOST = "127.0.0.1";

export interface Settings {
  readonly port: number;
  /** Undefined: no inspector. */
  readonly inspectorPort: number | undefined;
  /** Triggers to keep to instead of wrangler.toml's. */
  readonly cron: string | undefined;
}

/** @throws Error that names what is wrong in this process's environment, or the port that is taken */
export async function readSettings(): Promise<Settings> {
  const port = commandVariable("PORT");
  const inspectorPort = commandVariable("INSPECTOR_PORT");
  if (inspectorPort === port) throw new Error(`INSPECTOR_PORT is ${port}; it must be another port than PORT`);
  const cron = commandVariable("SCORES_CRON");
  if (cron) checkCron(cron);
  await checkFree("PORT", port);
  if (inspectorPort) await checkFree("INSPECTOR_PORT", inspectorPort);
  return { port, inspectorPort, cron };
}

function checkCron(cron: string): void {
  try {
    new Cron(cron, { paused: true }).stop();
  } catch {
    throw new Error(`SCORES_CRON is ${cron}; it must be a cron expression, as */5 * * * *`);
  }
}

/** @throws Error that says what to do when something listens at the port */
const checkFree = (name: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once("error", ({ code, message }: NodeJS.ErrnoException) => {
      const other = `choose another with ${name}=${port + 1} npm start`;
      if (code === "EADDRINUSE") reject(new Error(`port ${port} is taken: stop what listens there, or ${other}`));
      else if (code === "EACCES") reject(new Error(`port ${port} may not be listened at: ${other}`));
      else reject(new Error(`${name} ${port}: ${message}`));
    });
    probe.listen(port, HOST, () => probe.close(() => resolve()));
  });

/**
 * Checks what the Workers are given, by the rules by which they read it.
 * @returns a key for an example: an admin's where there is one
 * @throws Error that names the variable that is wrong
 */
export function checkWorkers(workers: readonly WorkerOptions[]): string {
  const env = Object.assign({}, ...workers.map(({ bindings }) => bindings)) as object;
  const { API_KEYS } = readVariables(gatewayVariables, env);
  readVariables(replicaVariables, env);
  if (API_KEYS === undefined) {
    throw new Error(
      existsSync(join(root, ".dev.vars"))
        ? ".dev.vars has no API_KEYS: delete the file, and the next start makes a new key"
        : ".dev.vars, which has API_KEYS, is missing: the next npm start makes it, with a new key",
    );
  }
  return readKeys(API_KEYS)[0] as string;
}
