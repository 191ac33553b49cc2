// Schemathesis, in a virtual environment of its own, over /openapi.json of the process that `npm start` runs. Left out where there is no
// Python with pip.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";

const PACKAGE = "schemathesis==4.32.5";
const SECONDS = 120;
/** Longer than the service's own deadline (REQUEST_DEADLINE_MS): a busy machine is no fault, a reply that never ends is. */
const REPLY_SECONDS = 330;
const CHECKS = [
  ...["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance"],
  "response_schema_conformance",
];

const venv = mkdtempSync(join(tmpdir(), "franken-schemathesis-"));
const python = join(venv, "bin/python");
const run = (command: string, args: string[], env: Record<string, string> = {}) =>
  spawnSync(command, args, { encoding: "utf8", cwd: venv, env: { ...process.env, ...env }, maxBuffer: 1 << 28 });
const ready =
  run("python3", ["-m", "venv", venv]).status === 0 &&
  run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]).status === 0;
if (!ready) console.warn(`left out: Schemathesis, because there is no python3 with venv that can install ${PACKAGE}`);

describe.skipIf(!ready)("Schemathesis", () => {
  let server: Server;
  beforeAll(async () => {
    server = await startServer(await startCommand(), await freePort());
  });
  afterAll(async () => {
    await server?.stop();
  });

  it(`finds no 5xx and no reply that its schema does not describe, in ${SECONDS} s`, () => {
    const { stdout, stderr, status } = run(
      python,
      [
        ...["-m", "schemathesis.cli", "run", `${server.url}/openapi.json`, "-H", `Authorization: Bearer ${server.key}`],
        ...["--checks", CHECKS.join(","), "--phases", "examples,coverage,fuzzing", "--max-examples", "60"],
        ...[
          "--max-time",
          String(SECONDS),
          "--seed",
          "1",
          "--no-shrink",
          "--continue-on-failure",
          "--request-timeout",
          String(REPLY_SECONDS),
        ],
      ],
      { SCHEMATHESIS_HOOKS: "hooks", PYTHONPATH: join(root, "test/interop/schemathesis"), NO_COLOR: "1" },
    );
    // The summary, and what was wrong, without its headings: a reader of logs may take their form for pytest's, with no test run.
    console.log(stdout.slice(stdout.indexOf("= SUMMARY =")).replace(/^=.*=$/gm, ""));
    expect(`${stderr}${status === 0 ? "" : stdout}`).toBe("");
    expect(stdout).toMatch(/[1-9]\d* generated, [1-9]\d* passed/);
    expect(stdout).not.toContain("Authentication failed");
    expect(server.events("failure")).toEqual([]);
  });
});

afterAll(() => rmSync(venv, { recursive: true, force: true }));
