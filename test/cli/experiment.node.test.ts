// The command as a user runs it, against a server that answers as the gateway does.
import { execFile } from "node:child_process";
import { mkdtemp, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { root } from "../../build/paths.ts";
import { define } from "../../cli/commands/experiment.ts";
import { UserError } from "../../formats/error.ts";
import type { Results } from "../../src/experiments/index.ts";

const results: Results = {
  experiment: "drop-ten",
  epoch: 1,
  sample_ratio: { p_value: 0.5, alarm: false, exposed: { base: 8, drop: 9 }, expected: { base: 8.5, drop: 8.5 } },
  metrics: [
    {
      metric: "agreement",
      title: "top-1 agreement",
      unit: "share of tokens",
      is_log: false,
      role: "primary",
      treatment: "drop",
      control: "base",
      margin: 0.3,
      alpha: 0.05,
      verdict: "non-inferior",
      treatment_value: 0.9,
      control_value: 1,
      units_needed: 0,
      series: [
        { units: 1, at: 1_700_000_000_000, estimate: 0, lower: null, upper: null },
        { units: 8, at: 1_700_000_600_000, estimate: -0.1, lower: -0.2, upper: -0.05 },
      ],
    },
  ],
};

const server = createServer((request, response) => {
  const answer = (status: number, body: unknown, type = "application/json") => {
    response.writeHead(status, { "content-type": type }).end(type === "text/html" ? body : JSON.stringify(body));
  };
  const error = (message: string) => ({ error: { message, type: "invalid_request_error", param: null, code: "x" } });
  if (request.url?.startsWith("/other")) return answer(200, "<html>", "text/html");
  if (request.url?.startsWith("/api")) return answer(200, { object: "list" });
  if (request.headers.authorization !== "Bearer sk-good") return answer(401, error("Incorrect API key provided."));
  if (request.url === "/v1/experiments/drop-ten/results") return answer(200, results);
  return answer(404, error("There is no experiment 'nobody'."));
});
let url = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

/** Runs the command in a process of its own. */
const franken = (...args: string[]) =>
  new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const options = { cwd: root, env: { ...process.env, OPENAI_API_KEY: "sk-good" } };
    const command = [join(root, "bin/franken.mjs"), "experiment", "report", ...args];
    execFile(process.execPath, command, options, (error, out, err) =>
      resolve({ code: (error?.code as number | undefined) ?? 0, out, err }),
    );
  });

/** Runs it in this one, which is quicker, and gives the error that the user would see. */
const failureOf = async (...args: string[]): Promise<string> => {
  const program = new Command();
  define(program);
  const output = vi.spyOn(process.stdout, "write").mockReturnValue(true);
  try {
    await program.parseAsync(["report", ...args], { from: "user" });
    return "nothing";
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  } finally {
    output.mockRestore();
  }
};

describe("franken experiment report", () => {
  it("prints the table and writes the picture", async () => {
    const svg = join(await mkdtemp(join(tmpdir(), "franken-report-")), "report.svg");
    const { code, out, err } = await franken("drop-ten", "--url", `${url}/v1/`, "--svg", svg);
    expect({ code, err }).toEqual({ code: 0, err: `confidence sequences: ${svg}\n` });
    expect(out).toMatch(/^agreement \(primary\) +drop 0\.9 +base 1 +-0\.1 \[-0\.2, -0\.05\] +0\.3 +8 +non-inferior$/m);
    const picture = await readFile(svg, "utf8");
    expect(picture).toContain("agreement: drop against base: non-inferior");
    expect(picture).toContain("units observed, 2023-11-14 22:13 to 2023-11-14 22:23 UTC");
  });

  it("says what to do when there is no gateway, key or experiment, or nowhere to write", async () => {
    vi.stubEnv("OPENAI_API_KEY", "sk-good");
    expect(await failureOf("drop-ten", "--url", "http://127.0.0.1:1")).toMatch(
      /^no gateway answers at http:\/\/127\.0\.0\.1:1 \(.+\): start one with npm start/,
    );
    expect(await failureOf("drop-ten", "--url", "nowhere")).toContain("--url is nowhere");
    expect(await failureOf("drop-ten", "--url", `${url}/other`)).toContain("is not this gateway (status 200)");
    expect(await failureOf("drop-ten", "--url", `${url}/api`)).toContain("gives no results");
    expect(await failureOf("drop-ten", "--url", url, "--key", "sk-bad")).toBe(
      "Incorrect API key provided. Give another key with --key or in OPENAI_API_KEY.",
    );
    expect(await failureOf("nobody", "--url", url)).toBe("There is no experiment 'nobody'.");
    expect(await failureOf("drop-ten", "--url", url, "--epoch", "last")).toContain("--epoch is last");
    expect(await failureOf("drop-ten", "--url", url, "--epoch", "3")).toBe("There is no experiment 'nobody'.");
    expect(await failureOf("../models", "--url", url)).toContain("no experiment's id");
    expect(await failureOf("drop-ten", "--url", url, "--svg", "/nowhere/report.svg")).toMatch(
      /cannot be written .* --svg/,
    );
    vi.unstubAllEnvs();
  });
});
