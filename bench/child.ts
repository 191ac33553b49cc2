// Runs a subject in a process of its own, pinned to one core, and talks to it over Node's IPC channel.
import { spawn, spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { root } from "../build/paths.ts";
import type { ChildMessage } from "./answer.ts";
import { type Running, type RunRequest, Unavailable } from "./subject.ts";

export interface ChildOptions {
  /** Script and its arguments, from the project's root. */
  readonly args: readonly string[];
  readonly core: number | undefined;
}

export interface Child {
  /** What the child said when it was ready. */
  readonly detail: string;
  /** @throws Error when the child fails or ends */
  ask(request: RunRequest | object): Promise<Exclude<ChildMessage, { failed: string }>>;
  stop(): Promise<void>;
}

const STOP_MS = 10_000;

/**
 * Puts this process on the first core and leaves the last to the subjects.
 * @returns the subjects' core, or undefined where `taskset` is missing or there is one core
 */
export function claimCore(): number | undefined {
  const cores = availableParallelism();
  if (cores < 2) return undefined;
  const { status } = spawnSync("taskset", ["-a", "-p", "-c", "0", String(process.pid)], { stdio: "ignore" });
  return status === 0 ? cores - 1 : undefined;
}

/** @throws Unavailable with the child's reason, or Error with what it printed */
export async function startChild({ args, core }: ChildOptions): Promise<Child> {
  const node = [process.execPath, "--import", "tsx", ...args];
  const [command = "", ...rest] = core === undefined ? node : ["taskset", "-c", String(core), ...node];
  const child = spawn(command, rest, { cwd: root, stdio: ["ignore", "pipe", "pipe", "ipc"] });
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk).slice(-4000);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const next = (): Promise<ChildMessage> =>
    new Promise((resolve, reject) => {
      const onExit = () => reject(new Error(`${args.join(" ")} ended with ${child.exitCode}:\n${output}`));
      child.once("exit", onExit);
      child.once("message", (message) => {
        child.off("exit", onExit);
        resolve(message as ChildMessage);
      });
    });
  const stop = async (): Promise<void> => {
    if (child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
    await exited;
    clearTimeout(timer);
  };
  const first = await next();
  if (!("ready" in first)) {
    await stop();
    throw new Unavailable("unavailable" in first ? first.unavailable : `${args[0]} said neither ready nor why not`);
  }
  return {
    detail: first.ready,
    async ask(request) {
      const answer = next();
      child.send(request);
      const message = await answer;
      if ("failed" in message) throw new Error(message.failed);
      return message;
    },
    stop,
  };
}

/** A subject whose child notes the arrivals itself. */
export async function startMeasuringChild(options: ChildOptions): Promise<Running> {
  const child = await startChild(options);
  return {
    detail: child.detail,
    async run(request) {
      const message = await child.ask(request);
      if (!("arrivals" in message)) throw new Error("the child gave no arrivals");
      return message.arrivals;
    },
    stop: child.stop,
  };
}
