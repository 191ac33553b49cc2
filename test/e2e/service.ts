// The service that the files of a project share, started before the first and stopped after the
// last.
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";
import type { TestProject } from "vitest/node";
import { type Client, clientOf, freePort, startCommand, startServer } from "../../bench/service-process.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the service is, a key of it, and the file that has what it printed so far. */
    service: { url: string; key: string; log: string };
  }
}

/** No measuring in between: a file that needs it starts a service of its own. */
const ENV = { SCORES_CRON: "0 0 1 1 *" };

/** What vitest runs before the project's first file. @returns what it runs after the last */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "franken-service-"));
  const log = join(folder, "log");
  const server = await startServer(await startCommand(), await freePort(), ENV);
  writeFileSync(log, server.output());
  for (const stream of [server.process.stdout, server.process.stderr]) {
    stream?.on("data", (chunk: Buffer) => appendFileSync(log, chunk));
  }
  project.provide("service", { url: server.url, key: server.key, log });
  return async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  };
}

/** The shared service, in a test. */
export function service(): Client {
  const { url, key, log } = inject("service");
  return clientOf(url, key, () => readFileSync(log, "utf8"));
}
