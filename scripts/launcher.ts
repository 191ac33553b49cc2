// Who started this process: where that is npm, which a supervisor knows and signals, its end ends the service too.
import { spawnSync } from "node:child_process";

const LOOK_MS = 250;

/** Calls back once when npm, which runs this process as a script, is over; never where npm does not run it. */
export function whenNpmEnds(callback: () => void): void {
  if (!process.env.npm_lifecycle_event || process.platform === "win32") return;
  const parent = process.ppid;
  const shellOf = parentOfShell(parent);
  const timer = setInterval(() => {
    if (process.ppid === parent && (shellOf === undefined || runs(shellOf))) return;
    clearInterval(timer);
    callback();
  }, LOOK_MS);
  timer.unref();
}

/** Some shells stay between npm and its script. @returns the shell's parent; undefined when the process is no shell */
function parentOfShell(pid: number): number | undefined {
  const { stdout } = spawnSync("ps", ["-o", "ppid=,comm=", "-p", String(pid)], { encoding: "utf8" });
  const [, parent] = /^\s*(\d+)\s+(?:.*\/)?-?[a-z]*sh$/.exec((stdout ?? "").trimEnd()) ?? [];
  return parent === undefined ? undefined : Number(parent);
}

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
