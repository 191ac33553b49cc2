// One run of the local Workers runtime, workerd, and how it ends.
import type { ChildProcess } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { createRequire } from "node:module";
import { join } from "node:path";
import { Miniflare, type MiniflareOptions } from "miniflare";
import { root } from "../build/paths.ts";

export interface Runtime {
  readonly miniflare: Miniflare;
  /** Resolves when the process is over, with how it ended: "was ended by SIGKILL". */
  readonly ended: Promise<string>;
}

const guard = join(root, "scripts/workerd.sh");

/** workerd is started through `workerd.sh`, which ends it with this process; Windows has no such shell. */
function guardRuntime(pidFile: string): void {
  if (process.platform === "win32") return;
  const fromMiniflare = createRequire(createRequire(import.meta.url).resolve("miniflare"));
  process.env.FRANKEN_WORKERD ??=
    process.env.MINIFLARE_WORKERD_PATH || (fromMiniflare("workerd") as { default: string }).default;
  process.env.FRANKEN_RUNTIME_PID = pidFile;
  process.env.MINIFLARE_WORKERD_PATH = guard;
}

/** @param pidFile gets the process id of workerd */
export function startRuntime(options: MiniflareOptions, pidFile: string): Runtime {
  guardRuntime(pidFile);
  // Miniflare keeps the process to itself, and is silent when it ends.
  const ended = new Promise<string>((resolve) => {
    const onProcess = (message: unknown): void => {
      const { process: child } = message as { process: ChildProcess };
      child.once("spawn", () => {
        if (!child.spawnargs.includes("--control-fd=3")) return;
        unsubscribe("child_process", onProcess);
        child.once("exit", (code, signal) => resolve(signal ? `was ended by ${signal}` : `ended with code ${code}`));
      });
    };
    subscribe("child_process", onProcess);
  });
  return { miniflare: new Miniflare(options), ended };
}
