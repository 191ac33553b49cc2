// `npm start`: runs both Workers, as bundled by the build and configured by their wrangler files, in one local Workers runtime.
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { Cron } from "croner";
import { Miniflare } from "miniflare";
import { localRuntime } from "./build/local.ts";
import { applyMigrations } from "./build/migrate.ts";
import { root } from "./build/paths.ts";
import { claimState } from "./state.ts";

const HOST = "127.0.0.1";

/** @throws Error that says what to do when the port cannot be had */
async function claimPort(): Promise<number> {
  const port = Number(process.env.PORT ?? 8787);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new Error(`PORT is ${process.env.PORT}; it must be a number from 1 to 65535`);
  }
  await new Promise<void>((resolve, reject) => {
    const probe = createServer();
    probe.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new Error(
              `port ${port} is taken: stop what listens there, or choose another with PORT=${port + 1} npm start`,
            )
          : error,
      ),
    );
    probe.listen(port, HOST, () => probe.close(() => resolve()));
  });
  return port;
}

async function localKey(): Promise<string> {
  // The first of a list, or of a JSON array of keys and objects.
  const key = /^API_KEYS\s*=\s*['"]?(?:\[\s*(?:\{\s*"key"\s*:\s*)?")?([^"',\s]+)/m.exec(
    await readFile(join(root, ".dev.vars"), "utf8"),
  )?.[1];
  if (!key) throw new Error(".dev.vars has no API_KEYS: delete the file, and the next start makes a new key");
  return key;
}

/** Waits until the replica has its weights; shows how far it is. */
async function untilReady(url: string): Promise<void> {
  const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
  if (!process.stderr.isTTY) process.stderr.write("loading weights …\n");
  for (;;) {
    const response = await fetch(`${url}/health`);
    const health = (await response.json()) as { status: string; progress?: number; error?: string };
    if (response.ok) break;
    if (health.status === "failed") throw new Error(health.error);
    progress(`loading weights … ${Math.round((health.progress ?? 0) * 100)} %`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  progress("");
}

/** Locally no clock calls a Worker's `scheduled()`: this one keeps to the triggers of wrangler.toml, or to SCORES_CRON. */
async function keepTriggers(miniflare: Miniflare): Promise<void> {
  const { unstable_readConfig } = await import("wrangler");
  const { triggers } = unstable_readConfig({ config: join(root, "wrangler.toml") });
  const gateway = await miniflare.getWorker("franken-gateway");
  for (const cron of process.env.SCORES_CRON ? [process.env.SCORES_CRON] : (triggers.crons ?? [])) {
    const trigger = async (): Promise<void> => {
      await gateway.scheduled({ cron }).catch((error: Error) => console.error(`trigger ${cron}: ${error.message}`));
    };
    new Cron(cron, { protect: true, unref: true }, trigger);
  }
}

async function start(): Promise<void> {
  const port = await claimPort();
  const state = await claimState();
  const key = await localKey();
  const miniflare = new Miniflare({
    ...(await localRuntime()),
    host: HOST,
    port,
    // For DevTools, and for tests that ask what the isolates hold.
    ...(process.env.INSPECTOR_PORT ? { inspectorPort: Number(process.env.INSPECTOR_PORT) } : {}),
    defaultPersistRoot: state,
    handleStructuredLogs: ({ message }: { message: string }) => console.log(message),
  });
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      miniflare.dispose().finally(() => process.exit(0));
    });
  }
  try {
    await miniflare.ready;
    await applyMigrations(await miniflare.getD1Database("DB", "franken-gateway"), (name) =>
      console.error(`applying migration ${name}`),
    );
    const url = `http://${HOST}:${port}`;
    await untilReady(url);
    await keepTriggers(miniflare);
    const body = JSON.stringify({ model: "smollm2-135m", messages: [{ role: "user", content: "Say hello." }] });
    const curl = `curl ${url}/v1/chat/completions -H 'Authorization: Bearer ${key}' -H 'Content-Type: application/json' -d '${body}'`;
    console.log(`Franken Gateway is ready at ${url}  key: ${key}  try: ${curl}`);
  } catch (error) {
    await miniflare.dispose();
    if (!stopping) throw error;
  }
}

start().catch((error: Error) => {
  console.error(`cannot start: ${error.message}`);
  process.exitCode = 1;
});
