import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { evalFile } from "../../build/paths.ts";
import { readOptions, UsageError } from "../../cli/eval/options.ts";
import { clock, createProgress } from "../../cli/progress.ts";
import { readCatalogue } from "../../evaluation/offline/built.ts";

const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), "franken-eval-"));

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly errors: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [evalFile, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let errors = "";
  child.stdout?.on("data", (chunk) => (out += chunk));
  child.stderr?.on("data", (chunk) => (errors += chunk));
  const ended = new Promise<Ended>((resolve) => child.on("close", (code) => resolve({ code, out, errors })));
  return { child, ended };
}
const run = (...args: string[]): Promise<Ended> => start(...args).ended;

/** The smallest variant: two layers. */
const SMALL = "smollm2-135m-franken-all-except-last-two";

/** Lines of the one state file. */
async function kept(state: string): Promise<{ path: string; lines: string[] }> {
  const [name = ""] = await readdir(join(state, "hellaswag"));
  const path = join(state, "hellaswag", name);
  return { path, lines: (await readFile(path, "utf8")).trimEnd().split("\n") };
}

describe("the command line", () => {
  it("--help lists tasks and options", async () => {
    const { code, out } = await run("--help");
    expect(code).toBe(0);
    for (const word of ["hellaswag", "wikitext-512", "triviaqa", "--workers", "--record"]) expect(out).toContain(word);
  });

  it.each([
    [["--task", "hellaswag"], "--variant is missing; there are: all, smollm2-135m,"],
    [["--variant", "nobody", "--task", "hellaswag"], "--variant: no nobody; there are: all, smollm2-135m,"],
    [["--variant", SMALL, "--task", "squad"], "--task: no squad; there are: all, hellaswag, wikitext,"],
    [["--variant", SMALL, "--task", "hellaswag", "--items", "9-3"], '--items: "9-3" is no range'],
    [["--variant", SMALL, "--task", "hellaswag", "--items", "10042"], "the items are 0 to 10041"],
    [["--variant", SMALL, "--task", "hellaswag", "--limit", "0"], "--limit is a whole number above 0, not 0"],
    [
      ["--variant", SMALL, "--task", "hellaswag", "--limit", "2", "--sample"],
      "--sample and --limit exclude each other",
    ],
    [["--variant", SMALL, "--task", "hellaswag", "--engine", "gpu"], "--engine is wasm or onnx, not gpu"],
    [["--variant", SMALL, "--task", "hellaswag", "--engine", "onnx", "--record"], "--record is for the wasm engine"],
    [["--what"], "Unknown option '--what'"],
  ])("%j is refused", async (args, message) => {
    const catalogue = await readCatalogue();
    const read = () => readOptions(args, catalogue)?.select(10_042);
    expect(read).toThrow(UsageError);
    expect(read).toThrow(message);
  });

  it("what is wrong with it goes to the standard error", async () => {
    const { code, out, errors } = await run("--variant", "nobody", "--task", "hellaswag");
    expect([code, out]).toEqual([1, ""]);
    expect(errors).toContain("--variant: no nobody");
    expect(errors).toContain("--help");
  });
});

describe("a run", () => {
  it("reports, keeps its items, and after a cut computes only what is missing, to the same bits", async () => {
    const state = await temporary();
    const args = ["--variant", SMALL, "--task", "hellaswag", "--items", "3-33:10", "--state", state];
    const whole = await run(...args);
    expect(whole.code, whole.errors).toBe(0);
    expect(whole.errors).toContain("4/4");
    const report = JSON.parse(whole.out);
    expect(report).toMatchObject({
      variant: SMALL,
      task: "hellaswag",
      items: "3-33:10",
      count: 4,
      command: `npm run eval -- --variant ${SMALL} --task hellaswag --items 3-33:10`,
      metrics: { acc: { value: expect.any(Number), stderr: expect.any(Number) } },
    });
    for (const digest of ["variant", "engine", "data"]) expect(report.digests[digest], digest).toBeTypeOf("string");

    // As if the machine had gone down while the third item was written.
    const before = await kept(state);
    const size = before.lines.slice(0, 2).join("\n").length + 20;
    await truncate(before.path, size);
    const out = join(state, "report.json");
    const again = await run(...args, "--out", out, "--workers", "2");
    expect(again.errors).toContain("2/2");
    const withoutTimes = ({ recorded, seconds, ...rest }: Record<string, unknown>) => rest;
    expect(withoutTimes(JSON.parse(await readFile(out, "utf8")))).toEqual(withoutTimes(report));
    const results = (lines: string[]) =>
      lines
        .flatMap((line) => {
          try {
            return [JSON.parse(line)];
          } catch {
            return [];
          }
        })
        .map(({ item, result }) => ({ item, result }))
        .sort((a, b) => a.item - b.item);
    expect(results((await kept(state)).lines)).toEqual(results(before.lines));

    const nothing = await run(...args);
    expect(nothing.errors).toBe("");
    expect(JSON.parse(nothing.out).metrics).toEqual(report.metrics);
  });

  it("compares a variant with its base, which is no different from itself", async () => {
    const state = await temporary();
    const args = ["--task", "chat-agreement", "--items", "10", "--state", state];
    const { out, errors } = await run("--variant", `smollm2-135m,${SMALL}`, ...args);
    const [base, small] = JSON.parse(out || errors);
    expect(base.metrics).toEqual({ agreement: { value: 1 }, kl: { value: 0 } });
    expect(small.metrics.agreement.value).toBeLessThan(0.5);
    expect(small.metrics.kl.value).toBeGreaterThan(1);
  });

  it("ends by Ctrl-C with its items kept", async () => {
    const state = await temporary();
    const { child, ended } = start("--variant", SMALL, "--task", "hellaswag", "--limit", "500", "--state", state);
    for (let lines = 0; lines < 2; ) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      lines = await kept(state).then(
        (found) => found.lines.length,
        () => 0,
      );
    }
    child.kill("SIGINT");
    const { code, out, errors } = await ended;
    expect(code).toBe(130);
    expect(out).toBe("");
    const { lines } = await kept(state);
    expect(errors).toMatch(new RegExp(`stopped; ${lines.length} of 500 items are kept`));
    for (const line of lines) expect(() => JSON.parse(line)).not.toThrow();
  });

  it("ignores results of another line format", async () => {
    const state = await temporary();
    const args = ["--variant", SMALL, "--task", "hellaswag", "--items", "5", "--state", state];
    const first = await run(...args);
    const { path } = await kept(state);
    await writeFile(path, '{"item":"5"}\nnull\n[]\n');
    const second = await run(...args);
    expect(JSON.parse(second.out).metrics).toEqual(JSON.parse(first.out).metrics);
  });
});

describe("progress", () => {
  it("shows rate and time left", () => {
    const written: string[] = [];
    const output = { isTTY: true, columns: 200, write: (text: string) => written.push(text) > 0 } as NodeJS.WriteStream;
    const progress = createProgress(2, output);
    progress.done(() => "acc 0.5");
    progress.done(() => "acc 0.6");
    progress.end();
    expect(written.join("")).toMatch(/\[#{24}\] 2\/2 {2}\S+ items\/s {2}0:00 left {2}acc 0\.6/);
  });

  it.each([
    [0, "0:00"],
    [61.2, "1:02"],
    [3725, "1:02:05"],
  ])("writes %f seconds as %s", (seconds, text) => expect(clock(seconds)).toBe(text));
});
