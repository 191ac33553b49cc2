// Starts the service as a user does, on a free port, and stops it: for benchmarks, and for tests.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import OpenAI from "openai";
import { root } from "../build/paths.ts";
import { quietWrangler } from "../build/workers.ts";

/** A service that runs, as its clients and a reader of its log see it. */
export interface Client {
  readonly url: string;
  readonly key: string;
  readonly openai: OpenAI;
  /** What the process has printed so far. */
  output(): string;
  /** JSON lines of the service's log, of one kind of event. */
  events(event: string): Record<string, unknown>[];
}

export interface Server extends Client {
  /** Stops the process as Ctrl-C does, and removes what it kept; gives its exit code. */
  stop(): Promise<number | null>;
  /** Stops the process, and starts another one with what it kept. */
  restart(): Promise<Server>;
  /** The folder where it keeps what it records. */
  readonly state: string;
  readonly process: ChildProcess;
}

export const clientOf = (url: string, key: string, output: () => string): Client => ({
  url,
  key,
  openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 }),
  output,
  events: (event) =>
    output()
      .split("\n")
      // The last line may not be whole yet.
      .slice(0, -1)
      .filter((line) => line.includes(`"event":"${event}"`))
      .map((line) => JSON.parse(line.slice(line.indexOf("{")))),
});

export async function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() =>
        address && typeof address === "object" ? resolve(address.port) : reject(new Error("no port")),
      );
    });
  });
}

/** What `npm start` runs after its set-up. */
export const startCommand = async (): Promise<string[]> => {
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  return (scripts.start as string).split(" ").slice(1);
};

export const wranglerDevCommand = (port: number, ...more: string[]): string[] =>
  `node_modules/wrangler/bin/wrangler.js dev -c wrangler.toml -c wrangler.replica.toml --ip 127.0.0.1 --port ${port} --show-interactive-dev-session=false`
    .split(" ")
    .concat(more);

/**
 * Runs Node with these arguments, in the project's folder or a copy of it, until it is ready and /health answers 200.
 * What another service recorded is not its own: it gets an empty folder for its state.
 */
export async function startServer(
  args: string[],
  port: number,
  env: Record<string, string> = {},
  cwd = root,
): Promise<Server> {
  return startWith(await mkdtemp(join(tmpdir(), "franken-state-")), args, port, env, cwd);
}

async function startWith(
  state: string,
  args: string[],
  port: number,
  env: Record<string, string>,
  cwd: string,
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...quietWrangler, FRANKEN_STATE: state, PORT: String(port), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const exited = new Promise<number | null>((resolve) => child.on("exit", resolve));
  const url = `http://127.0.0.1:${port}`;
  let healthy = false;
  while (!healthy) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
    if (!/ready (at|on) http/i.test(output)) continue;
    healthy = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
  }
  const key = /sk-local-[\w-]+/.exec(await readFile(join(cwd, ".dev.vars"), "utf8"))?.[0] ?? "";
  return {
    ...clientOf(url, key, () => output),
    process: child,
    state,
    async stop() {
      child.kill("SIGINT");
      const code = await exited;
      await rm(state, { recursive: true, force: true });
      return code;
    },
    async restart() {
      child.kill("SIGINT");
      await exited;
      return startWith(state, args, port, env, cwd);
    },
  };
}
