// Processes that die or meet each other: nothing is left that serves without its launcher, two never share a
// state, and what dies comes back.
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { freePort, startCommand } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";
import { copyProject } from "./copy.ts";

let state: string;
const started: ChildProcess[] = [];

beforeEach(async () => {
  state = await mkdtemp(join(tmpdir(), "franken-state-"));
});
afterEach(async () => {
  for (const child of started.splice(0)) child.kill("SIGTERM");
  await vi.waitFor(async () => expect(runs(await runtimePid())).toBe(false), { timeout: 5_000 });
  await rm(state, { recursive: true, force: true });
});

const runs = (pid: number): boolean =>
  pid > 0 && /^[^Z]/.test(spawnSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).stdout.trim());
const runtimePid = async (): Promise<number> =>
  Number(await readFile(join(state, "runtime.pid"), "utf8").catch(() => 0));

interface Launched {
  readonly child: ChildProcess;
  readonly url: string;
  output(): string;
  readonly exited: Promise<number | null>;
}

async function launch(command: string, args: string[], env: Record<string, string> = {}): Promise<Launched> {
  const port = await freePort();
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, PORT: String(port), FRANKEN_STATE: state, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (output += chunk));
  const exited = once(child, "exit").then(([code]) => code as number | null);
  return { child, url: `http://127.0.0.1:${port}`, output: () => output, exited };
}

const start = async (env?: Record<string, string>): Promise<Launched> =>
  launch(process.execPath, await startCommand(), env);

const readyTimes = (launched: Launched, times: number): Promise<void> =>
  vi.waitFor(() => expect(launched.output().match(/Franken Gateway is ready/g) ?? []).toHaveLength(times), {
    timeout: 60_000,
    interval: 100,
  });

const healthy = async ({ url }: Launched): Promise<boolean> => (await fetch(`${url}/health`)).ok;

describe("a runtime that dies", () => {
  it("is told of and started again, and given up after five times with exit code 1", async () => {
    const server = await start();
    for (let times = 1; times <= 6; times++) {
      await readyTimes(server, times);
      expect(await healthy(server)).toBe(true);
      process.kill(await runtimePid(), "SIGKILL");
      if (times === 6) break;
      await vi.waitFor(() => expect(server.output()).toContain(`was ended by SIGKILL: answers under way are lost`));
      await vi.waitFor(() => expect(server.output()).toContain(`(${times} of 5)`));
    }
    expect(await server.exited).toBe(1);
    expect(server.output()).toContain("giving up after 5 restarts");
  });
});

describe("a launcher that is killed", () => {
  const gone = async (pid: number): Promise<void> => {
    const killed = Date.now();
    await vi.waitFor(() => expect(runs(pid)).toBe(false), { timeout: 5_000, interval: 50 });
    expect(Date.now() - killed).toBeLessThan(2_000);
  };

  it("takes its runtime with it, and the next start has the state at once", async () => {
    const first = await start();
    await readyTimes(first, 1);
    const pid = await runtimePid();
    first.child.kill("SIGKILL");
    const second = await start();
    await gone(pid);
    await readyTimes(second, 1);
    expect(await healthy(second)).toBe(true);
  });

  it.each(["SIGTERM", "SIGKILL", "SIGHUP"] as const)("is npm itself: %s to it ends everything", async (signal) => {
    const npm = await launch("npm", ["start", "--ignore-scripts"]);
    await readyTimes(npm, 1);
    const pid = await runtimePid();
    npm.child.kill(signal);
    await gone(pid);
    await expect(fetch(`${npm.url}/health`)).rejects.toThrow();
    await vi.waitFor(() => {
      const left = spawnSync("pgrep", ["-f", `runtime.pid=${state}`], { encoding: "utf8" }).stdout;
      expect(left).toBe("");
    });
  });

  it("and whose watchdog is killed too leaves the state to its runtime, and the next start says so", async () => {
    const first = await start();
    await readyTimes(first, 1);
    const pid = await runtimePid();
    const watchdog = Number(execFileSync("pgrep", ["-P", String(pid)], { encoding: "utf8" }));
    process.kill(watchdog, "SIGKILL");
    first.child.kill("SIGKILL");
    await first.exited;
    expect(runs(pid)).toBe(true);
    const second = await start();
    expect(await second.exited).toBe(1);
    expect(second.output()).toContain(`the runtime of an earlier npm start, process ${pid}, has the state`);
    process.kill(pid, "SIGKILL");
  });
});

describe("two starts at the same instant", () => {
  it("on one state: one serves, the other says what to do", async () => {
    const both = await Promise.all([start(), start()]);
    const loser = await Promise.race(both.map((each) => each.exited.then(() => each)));
    const winner = both.find((each) => each !== loser) as Launched;
    expect(await loser.exited).toBe(1);
    expect(loser.output()).toContain(`another npm start keeps its state in ${state}: stop it, or give this one`);
    await readyTimes(winner, 1);
    expect(await healthy(winner)).toBe(true);
  });
});

/** A file system of its own, of 6 MB; where this user may not mount one there is nothing to test with. */
const mount = (...options: string[]): boolean =>
  spawnSync("mount", ["-t", "tmpfs", "-o", ["size=6m", ...options].join(","), "franken", state]).status === 0;
const probe = await mkdtemp(join(tmpdir(), "franken-mount-"));
const mayMount = spawnSync("mount", ["-t", "tmpfs", "franken", probe]).status === 0;
if (mayMount) spawnSync("umount", [probe]);

describe.skipIf(!mayMount)("a disk", () => {
  afterEach(() => {
    spawnSync("umount", ["-l", state]);
  });

  it.each([
    ["full", async () => fill(), "is on a disk that is full: free some space"],
    ["read-only", async () => void spawnSync("mount", ["-o", "remount,ro", state]), "is on a disk that is read-only"],
  ])("that is %s is named at the start", async (_, spoil, message) => {
    expect(mount()).toBe(true);
    await spoil();
    const server = await start();
    expect(await server.exited).toBe(1);
    expect(server.output()).toContain(`cannot start: the folder of the state, ${state}, ${message}`);
  });

  it("that fills up later shows in /health and log, while answers go on", async () => {
    expect(mount()).toBe(true);
    const server = await start({ SCORES_CRON: "0 0 1 1 *" });
    await readyTimes(server, 1);
    const answers = async (): Promise<number> => {
      const curl = /try: (curl .*)$/m.exec(server.output())?.[1] as string;
      return Number(execFileSync("bash", ["-c", `${curl} -sS -o /dev/null -w '%{http_code}'`], { encoding: "utf8" }));
    };
    expect(await answers()).toBe(200);
    await fill();
    expect(await answers()).toBe(200);
    const storage = async () =>
      ((await (await fetch(`${server.url}/health`)).json()) as { storage: { status: string; error?: string } }).storage;
    await vi.waitFor(async () => expect(await storage()).toMatchObject({ status: "failing" }), { timeout: 10_000 });
    expect((await storage()).error).toMatch(/full/);
    expect(server.output()).toContain('"event":"storage_failing"');
    // Longer than an idle Durable Object stays.
    await new Promise((resolve) => setTimeout(resolve, 15_000));
    expect(await answers()).toBe(200);
    await rm(join(state, "fill"));
    expect(await answers()).toBe(200);
    await vi.waitFor(async () => expect(await storage()).toEqual({ status: "ok" }), { timeout: 10_000 });
  });

  async function fill(): Promise<void> {
    await writeFile(join(state, "fill"), new Uint8Array(16 * 2 ** 20)).catch(() => {});
    // The last page, too.
    for (let i = 0; i < 100; i++) await appendFile(join(state, "fill"), new Uint8Array(512)).catch(() => {});
  }
});

describe("two first builds at once", () => {
  it("do not break each other, and what they made is whole", async () => {
    const project = await copyProject();
    try {
      await rm(join(project, "dist/workers"), { recursive: true });
      await rm(join(project, "dist/.stamps"), { recursive: true });
      const setUp = (): ChildProcess =>
        spawn(process.execPath, ["scripts/setup.mjs", "--without-artifacts"], { cwd: project, stdio: "pipe" });
      const both = [setUp(), setUp()];
      const texts = ["", ""];
      for (const [i, child] of both.entries()) child.stderr?.on("data", (chunk) => (texts[i] += chunk));
      expect(await Promise.all(both.map(async (child) => (await once(child, "exit"))[0]))).toEqual([0, 0]);
      expect(texts.filter((text) => text.includes("waiting for it"))).toHaveLength(1);
      expect(texts.filter((text) => text.includes("built gateway"))).toHaveLength(1);
      const third = spawnSync(process.execPath, ["scripts/setup.mjs", "--without-artifacts"], {
        cwd: project,
        encoding: "utf8",
      });
      expect([third.status, third.stderr]).toEqual([0, ""]);
    } finally {
      await rm(project, { recursive: true });
    }
  });
});
