// Starts the service as a user does, on a free port, and stops it.
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import OpenAI from "openai";
import { root } from "../../scripts/build/paths.ts";
import { quietWrangler } from "../../scripts/build/workers.ts";

export interface Server {
  readonly url: string;
  readonly key: string;
  readonly openai: OpenAI;
  /** What the process has printed so far. */
  output(): string;
  /** JSON lines of the service's log, of one kind of event. */
  events(event: string): Record<string, unknown>[];
  /** Stops the process as Ctrl-C does; gives its exit code. */
  stop(): Promise<number | null>;
  readonly process: ChildProcess;
}

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

/** Runs Node with these arguments, in the project's folder or a copy of it, until /health answers 200. */
export async function startServer(
  args: string[],
  port: number,
  env: Record<string, string> = {},
  cwd = root,
): Promise<Server> {
  const child = spawn(process.execPath, args, {
    cwd,
    env: { ...process.env, ...quietWrangler, PORT: String(port), ...env },
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
    healthy = await fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    );
  }
  const key = /sk-local-[\w-]+/.exec(await readFile(join(cwd, ".dev.vars"), "utf8"))?.[0] ?? "";
  return {
    url,
    key,
    process: child,
    openai: new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 0 }),
    output: () => output,
    events: (event) =>
      output
        .split("\n")
        .filter((line) => line.includes(`"event":"${event}"`))
        .map((line) => JSON.parse(line.slice(line.indexOf("{")))),
    stop: () => {
      child.kill("SIGINT");
      return exited;
    },
  };
}
