// `npm start`: runs both Workers, as bundled by the build and configured by their wrangler files, in one local Workers runtime.
// Starts the runtime again when it dies.
import { join } from "node:path";
import { Cron } from "croner";
import type { Miniflare, MiniflareOptions } from "miniflare";
import { localRuntime } from "../build/local-runtime.ts";
import { applyMigrations } from "../build/migrations.ts";
import { root } from "../build/paths.ts";
import { whenNpmEnds } from "./launcher.ts";
import { startRuntime } from "./runtime.ts";
import { checkWorkers, HOST, readSettings, type Settings } from "./settings.ts";
import { claimState, type State, storageTrouble } from "./state.ts";

/** A runtime that died is started again this often, at most; one that ran for a while before starts the count anew. */
const RESTARTS = 5;
const RAN_WELL_MS = 60_000;
const FIRST_PAUSE_MS = 500;
/** Ctrl-C reaches the runtime, too: this process hears of both within this time. */
const SIGNAL_MS = 100;

/** Looks in a row at whether the weights are there. */
const MOST_FAILED_LOOKS = 5;

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until the replica has its weights; shows how far it is. */
async function untilReady(url: string): Promise<void> {
  const progress = (text: string) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
  if (!process.stderr.isTTY) process.stderr.write("loading weights …\n");
  for (let failures = 0; ; ) {
    const response = await fetch(`${url}/health`).catch((error: Error) => error);
    if (response instanceof Error) {
      // A connection kept from the last look may have been closed meanwhile.
      if (++failures === MOST_FAILED_LOOKS) throw response;
      await sleep(100);
      continue;
    }
    failures = 0;
    const health = (await response.json()) as { status: string; progress?: number; error?: string };
    if (response.ok) break;
    if (health.status === "failed") throw new Error(health.error);
    progress(`loading weights … ${Math.round((health.progress ?? 0) * 100)} %`);
    await sleep(100);
  }
  progress("");
}

/**
 * Locally no clock calls a Worker's `scheduled()`: this one keeps to the triggers of wrangler.toml, or to SCORES_CRON.
 * @returns what stops it
 */
async function keepTriggers(miniflare: Miniflare, own: string | undefined): Promise<() => void> {
  const { unstable_readConfig } = await import("wrangler");
  const { triggers } = unstable_readConfig({ config: join(root, "wrangler.toml") });
  const gateway = await miniflare.getWorker("franken-gateway");
  const clocks = (own ? [own] : (triggers.crons ?? [])).map((cron: string) => {
    const trigger = async (): Promise<void> => {
      await gateway.scheduled({ cron }).catch((error: Error) => console.error(`trigger ${cron}: ${error.message}`));
    };
    return new Cron(cron, { protect: true, unref: true }, trigger);
  });
  return () => {
    for (const clock of clocks) clock.stop();
  };
}

const curlLine = (url: string, key: string): string => {
  const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const body = JSON.stringify({ model: "smollm2-135m", messages: [{ role: "user", content: "Say hello." }] });
  const headers = [`Authorization: Bearer ${key}`, "Content-Type: application/json"];
  return `curl ${url}/v1/chat/completions ${headers.map((header) => `-H ${quoted(header)}`).join(" ")} -d ${quoted(body)}`;
};

interface Serving {
  readonly settings: Settings;
  readonly state: State;
  readonly options: MiniflareOptions;
  readonly key: string;
}

/** Serves until the runtime ends. @returns how it ended @throws Error when it does not get ready */
async function serve(serving: Serving, again: boolean): Promise<string> {
  const { settings, state, options, key } = serving;
  const url = `http://${HOST}:${settings.port}`;
  const { miniflare, ended } = startRuntime(options, state.pidFile);
  let stopTriggers: (() => void) | undefined;
  const getReady = async (): Promise<void> => {
    await miniflare.ready;
    await applyMigrations(await miniflare.getD1Database("DB", "franken-gateway"), (name) =>
      console.error(`applying migration ${name}`),
    );
    await untilReady(url);
    stopTriggers = await keepTriggers(miniflare, settings.cron);
    const ready = `Franken Gateway is ready ${again ? "again " : ""}at ${url}`;
    console.log(`${ready}  key: ${key}  try: ${curlLine(url, key)}`);
  };
  try {
    const died = ended.then((how) => {
      throw new Error(`the runtime (workerd) ${how}`);
    });
    died.catch(() => {});
    await Promise.race([getReady(), died]);
    return await ended;
  } finally {
    stopTriggers?.();
    await miniflare.dispose().catch(() => {});
  }
}

/** @throws Error when the first start fails */
async function keepServing(serving: Serving): Promise<void> {
  for (let failures = 0; ; ) {
    const began = Date.now();
    const how = await serve(serving, failures > 0).catch((error: Error) => {
      if (failures === 0) throw error;
      return `did not get ready: ${error.message}`;
    });
    await sleep(SIGNAL_MS);
    failures = Date.now() - began > RAN_WELL_MS ? 1 : failures + 1;
    if (failures > RESTARTS) {
      console.error(`the runtime (workerd) ${how}: giving up after ${RESTARTS} restarts`);
      process.exit(1);
    }
    const pauseMs = FIRST_PAUSE_MS * 2 ** (failures - 1);
    const next = `starting it again in ${pauseMs / 1000} s (${failures} of ${RESTARTS})`;
    console.error(`the runtime (workerd) ${how}: answers under way are lost; ${next}`);
    await sleep(pauseMs);
  }
}

async function start(): Promise<void> {
  const settings = await readSettings();
  const runtime = await localRuntime();
  const key = checkWorkers(runtime.workers);
  const state = await claimState();
  const trouble = storageTrouble(state.folder);
  const options: MiniflareOptions = {
    ...runtime,
    host: HOST,
    port: settings.port,
    // For DevTools, and for tests that ask what the isolates hold.
    ...(settings.inspectorPort ? { inspectorPort: settings.inspectorPort } : {}),
    defaultPersistRoot: state.folder,
    handleStructuredLogs({ message }: { message: string }) {
      console.log(message);
      const told = trouble(message);
      if (told) console.error(told);
    },
  };
  // Before Miniflare's own handlers, which say that a signal is a failure; its clean-up runs at the exit.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(0));
  whenNpmEnds(() => process.exit(1));
  await keepServing({ settings, state, options, key });
}

start().catch((error: Error) => {
  console.error(`cannot start: ${error.message}`);
  process.exit(1);
});
