// The newer Nodes that are supported, each as npm has it: the service, `npm run eval`, `franken` and a
// part of the tests run with it. A Node for a platform that npm has no package for is left out.
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";
import type { JsonTestResults } from "vitest/node";
import { root } from "../../build/paths.ts";

const VERSIONS = ["22.23.5", "24.22.3", "26.12.1"];
/** `npx vitest` with these starts the service, evaluates, sweeps, and runs in workerd. */
const FILES = [
  "test/cli/sweep.node.full.test.ts",
  "test/e2e/chat.e2e.test.ts",
  "test/engine/wasm/bits.model.test.ts",
  "test/routes/app.test.ts",
  "test/evaluation/eval.node.full.test.ts",
];

const run = promisify(execFile);
const folder = await mkdtemp(join(tmpdir(), "franken-nodes-"));
afterAll(() => rm(folder, { recursive: true, force: true }));

/** The bin folder of an installed Node; undefined where npm has none for this platform. */
async function install(version: string): Promise<string | undefined> {
  const name = `node-${process.platform}-${process.arch}`;
  const prefix = join(folder, version);
  const args = ["install", "--prefix", prefix, "--no-audit", "--no-fund", "--ignore-scripts"];
  try {
    await run("npm", [...args, `${name}@${version}`]);
  } catch (error) {
    if (!/code (E404|ETARGET|EBADPLATFORM)/.test(String(error))) throw error;
    console.warn(`left out: Node ${version}, because npm has no ${name}@${version}`);
    return undefined;
  }
  return join(prefix, "node_modules", name, "bin");
}

/** What failed and why, of the JSON report's `testResults`: the report's other output does not say. */
function failures(testResults: JsonTestResults["testResults"]): string {
  return testResults
    .flatMap(({ name, message, assertionResults }) => [
      ...(message ? [`${name}: ${message}`] : []),
      ...assertionResults.flatMap(({ fullName, failureMessages }) =>
        (failureMessages ?? []).map((failure) => `${fullName}: ${failure}`),
      ),
    ])
    .join("\n");
}

describe.each(VERSIONS)("Node %s", async (version) => {
  const bin = await install(version);
  // What this process was told as a test runner, or by npm, is not for another one.
  const inherited = Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|TEST$|NODE_)/i.test(name));
  const env = { ...Object.fromEntries(inherited), PATH: `${bin}${delimiter}${process.env.PATH}` };
  const options = { cwd: root, env, maxBuffer: 1 << 26 };

  it.runIf(bin)("is the one that runs", async () => {
    expect((await run("node", ["--version"], options)).stdout.trim()).toBe(`v${version}`);
  });

  it.runIf(bin)("evaluates a variant by `npm run eval`", async () => {
    const command = ["run", "--silent", "eval", "--", "--variant", "smollm2-135m", "--task", "hellaswag"];
    const state = join(folder, `eval-${version}`);
    const { stdout } = await run("npm", [...command, "--items", "3,13", "--state", state], options);
    expect(JSON.parse(stdout)).toMatchObject({ count: 2, metrics: { acc: {} } });
  });

  it.runIf(bin)("runs `npx franken`", async () => {
    const out = join(folder, `recipe-${version}.json`);
    const command = ["export", "--variant", "smollm2-135m-attn-drop-5", "--format", "recipe", "--out", out];
    await run("npx", ["franken", ...command], options);
    expect(JSON.parse(await readFile(out, "utf8"))).toMatchObject({ id: "smollm2-135m-attn-drop-5" });
  });

  const timeout = 1_200_000;
  it.runIf(bin)(
    "passes the tests that start a service, a child process, a thread or workerd",
    { timeout },
    async () => {
      const report = join(folder, `report-${version}.json`);
      const vitest = ["vitest", "run", "--reporter", "json", "--outputFile", report];
      const ended = run("npx", [...vitest, ...FILES], options);
      const output = await ended.then(
        () => "",
        ({ stdout, stderr }: { stdout: string; stderr: string }) => stdout + stderr,
      );
      const { success, testResults, numPassedTests } = JSON.parse(await readFile(report, "utf8"));
      expect(success, `${failures(testResults)}\n${output}`).toBe(true);
      expect(testResults).toHaveLength(FILES.length);
      expect(numPassedTests).toBeGreaterThan(40);
    },
  );
});
