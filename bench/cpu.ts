// CPU time of the Workers runtime, which what else the machine does leaves nearly alone. Linux only.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { Miniflare, type MiniflareOptions } from "miniflare";

export interface MeasuredRuntime {
  readonly miniflare: Miniflare;
  /** CPU time of the runtime so far, all its threads, in milliseconds. */
  cpuMs(): number;
}

/** Starts a runtime of its own for the Workers, and waits until it answers. */
export async function startMeasured(options: MiniflareOptions): Promise<MeasuredRuntime> {
  const others = new Set(runtimes());
  const miniflare = new Miniflare({ ...options, handleStructuredLogs: () => {} });
  await miniflare.ready;
  const started = runtimes().filter((pid) => !others.has(pid));
  return { miniflare, cpuMs: () => Math.max(...started.map(cpuMsOf)) };
}

/** Process ids of the runtimes that this process started. */
function runtimes(): string[] {
  const { stdout } = spawnSync("pgrep", ["-P", String(process.pid), "workerd"], { encoding: "utf8" });
  return stdout.split("\n").filter(Boolean);
}

function cpuMsOf(pid: string): number {
  // Fields 14 and 15 of proc(5)'s stat, user and system time in ticks; the second field ends with the last ")".
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ");
  const ticks = Number(fields[11]) + Number(fields[12]);
  return (ticks * 1000) / Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }));
}
