// The examples of README.md and of the tutorial, run as a reader pastes them, against the process
// that `npm start` runs.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";

const PAGES = ["README.md", "docs/tutorial.md"];
const ADDRESS = "http://127.0.0.1:8787";
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

interface Example {
  readonly page: string;
  readonly language: string;
  readonly code: string;
  /** Its line in the page, for the test's name. */
  readonly line: number;
}

const examplesOf = (page: string): Example[] => {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(({ index, 1: language = "", 2: code = "" }) => ({
    page,
    language,
    code,
    line: text.slice(0, index).split("\n").length,
  }));
};
const examples = PAGES.flatMap(examplesOf);
/** What goes on until it is stopped, or tests everything, is not run here. */
const isStart = ({ code }: Example): boolean => /^npm (start|test)\b/.test(code);
/** With the place of each as its name. */
const named = (wanted: (example: Example) => boolean): [string, Example][] =>
  examples.filter(wanted).map((example) => [`${example.page}:${example.line}`, example]);

let server: Server;
/** Of the toolkit's output. */
let artifacts: string;
/** For scripts, where `openai` is found. */
let folder: string;
beforeAll(async () => {
  server = await startServer(await startCommand(), await freePort(), { SCORES_CRON: "0 0 1 1 *" });
  artifacts = mkdtempSync(join(tmpdir(), "franken-examples-"));
  folder = mkdtempSync(join(root, "dist/examples-"));
});
afterAll(async () => {
  await server?.stop();
  for (const made of [artifacts, folder]) if (made) rmSync(made, { recursive: true });
});

/** Runs an example with the address of the service in place of the usual one, and gives what it prints. */
function run({ language, code }: Example): { status: number | null; output: string } {
  const env = { ...process.env, KEY: server.key, FRANKEN_ARTIFACTS: artifacts };
  // Without the set-up before it, which would build the variant that an example made into
  // everyone's dist/.
  const here = code.replaceAll(ADDRESS, server.url).replaceAll("npm run eval", "npm run --ignore-scripts eval");
  const file = join(folder, `example.${language}`);
  writeFileSync(file, here);
  const command = language === "ts" ? [process.execPath, "--import", "tsx", file] : ["bash", "-euo", "pipefail", file];
  const { status, stdout, stderr } = spawnSync(command[0] as string, command.slice(1), {
    cwd: root,
    env,
    encoding: "utf8",
    timeout: 600_000,
  });
  return { status, output: `${stdout}${stderr}` };
}

describe("an example", () => {
  it("of each page is a shell command or TypeScript", () => {
    for (const page of PAGES) expect(examplesOf(page).length, page).toBeGreaterThan(3);
    expect(new Set(examples.map(({ language }) => language))).toEqual(new Set(["sh", "ts"]));
  });

  it.each(named(isStart))("at %s names scripts of package.json", (_, { code }) => {
    const commands = [...code.matchAll(/^npm (?:run )?([\w:]+)/gm)].map(([, name]) => name as string);
    expect(commands.length).toBeGreaterThan(0);
    for (const name of commands) expect(scripts).toHaveProperty([name]);
  });

  it.each(examples.filter((example) => !isStart(example)))("at $page:$line runs without an error", (example) => {
    const { status, output } = run(example);
    expect(status, output).toBe(0);
    expect(output).not.toMatch(/^HTTP\/1\.1 [45]|"error": ?\{/m);
    if (!example.code.startsWith("export ")) expect(output.trim()).not.toBe("");
  }, 600_000);
});
