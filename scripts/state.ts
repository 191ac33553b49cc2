// Where the local runtime keeps its databases. The folder is one runtime's at a time: two find the databases
// locked now and then, refuse requests and lose records.

import { spawnSync } from "node:child_process";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { root } from "../build/paths.ts";
import { commandVariable } from "../src/config.ts";
import { takeLock } from "./lock.mjs";

export interface State {
  readonly folder: string;
  /** The runtime leaves its process id here. */
  readonly pidFile: string;
}

/** A runtime whose launcher has died ends well within this time. */
const RUNTIME_ENDS_MS = 3_000;
/** As much as the first databases take. */
const PROBE_BYTES = 256 * 1024;

const OTHER = "give this one a folder of its own with FRANKEN_STATE=DIR npm start";

/**
 * Holds the folder of the state until this process and the runtime that it has started are over.
 * @returns the folder: FRANKEN_STATE, else one within the project
 * @throws Error that says what to do when another process holds it, or nothing can be written there
 */
export async function claimState(): Promise<State> {
  const folder = resolve(root, commandVariable("FRANKEN_STATE") ?? ".wrangler/state/v3");
  if (!(await takeLock(folder)))
    throw new Error(`another npm start keeps its state in ${folder}: stop it, or ${OTHER}`);
  await checkWritable(folder);
  const pidFile = join(folder, "runtime.pid");
  await untilRuntimeEnded(folder, pidFile);
  return { folder, pidFile };
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOSPC: "is on a disk that is full: free some space",
  EDQUOT: "is beyond the quota of its disk: free some space",
  EROFS: "is on a disk that is read-only: make it writable",
  EACCES: "may not be written: change its permissions",
  EPERM: "may not be written: change its permissions",
  ENOTDIR: "is no folder",
  EEXIST: "is no folder",
};

/** What workerd says of a database that cannot be written. */
const STORAGE_ERRORS: Readonly<Record<string, string>> = {
  SQLITE_FULL: "the disk is full: free some space",
  SQLITE_READONLY: "the disk is read-only: make it writable",
  SQLITE_IOERR: "the disk cannot be read or written",
};
const TELL_AGAIN_MS = 60_000;

/**
 * Reads along in the log of the runtime.
 * @returns for a line that tells of a database in the folder that cannot be written, one that says so plainly; once a minute
 */
export function storageTrouble(folder: string, now = Date.now): (line: string) => string | undefined {
  let toldAt = Number.NEGATIVE_INFINITY;
  return (line) => {
    const problem = STORAGE_ERRORS[/\bSQLITE_(FULL|READONLY|IOERR)/.exec(line)?.[0] ?? ""];
    if (!problem || now() - toldAt < TELL_AGAIN_MS) return undefined;
    toldAt = now();
    const message = `${problem}; until then answers go on, and records and responses are not kept`;
    return JSON.stringify({ event: "storage_failing", folder, message });
  };
}

async function checkWritable(folder: string): Promise<void> {
  const probe = join(folder, `probe-${process.pid}`);
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(probe, new Uint8Array(PROBE_BYTES), { flush: true });
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    throw new Error(
      `the folder of the state, ${folder}, ${PROBLEMS[code] ?? `is of no use (${message})`}, or ${OTHER}`,
    );
  } finally {
    await rm(probe, { force: true }).catch(() => {});
  }
}

/** The lock of a launcher that died is free; its runtime may still have the databases open. */
async function untilRuntimeEnded(folder: string, pidFile: string): Promise<void> {
  const pid = Number(await readFile(pidFile, "utf8").catch(() => ""));
  if (!(pid > 0)) return;
  for (const until = Date.now() + RUNTIME_ENDS_MS; isRuntime(pid); ) {
    if (Date.now() > until) {
      throw new Error(
        `the runtime of an earlier npm start, process ${pid}, has the state in ${folder} open: stop it (kill ${pid}), or ${OTHER}`,
      );
    }
    await new Promise((done) => setTimeout(done, 50));
  }
  await rm(pidFile, { force: true });
}

/** Whether a process runs, and is a runtime: its id may have gone to another one since. */
function isRuntime(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const { stdout, error } = spawnSync("ps", ["-o", "stat=,comm=", "-p", String(pid)], { encoding: "utf8" });
  return error !== undefined || /^[^Z]\S*\s.*workerd/.test(stdout.trim());
}
