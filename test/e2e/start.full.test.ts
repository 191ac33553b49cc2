// The process that `npm start` runs: all variants, clients that go away, and how it starts and
// ends.
import { execFileSync, spawnSync } from "node:child_process";
import type OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";

let server: Server;
let port: number;

beforeAll(async () => {
  port = await freePort();
  server = await startServer(await startCommand(), port);
});
afterAll(async () => {
  await server.stop();
});

const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the capital of Italy?" }];
const greedy = { model: "smollm2-135m", messages, temperature: 0, max_tokens: 80 } as const;

describe("the variants", () => {
  it("are listed, and each answers by name", async () => {
    const ids: string[] = [];
    for await (const model of server.openai.models.list()) ids.push(model.id);
    expect(ids).toHaveLength(37);
    expect(ids).toContain("auto");
    for (const model of ids) {
      const completion = await server.openai.chat.completions.create({ ...greedy, model, max_tokens: 3 });
      // `auto` is answered by the variant that it chose.
      expect(completion.model).toEqual(model === "auto" ? expect.stringMatching(/^smollm2-135m/) : model);
      expect(completion.usage?.completion_tokens).toBeLessThanOrEqual(3);
      expect(completion.choices[0]?.finish_reason).toMatch(/^(stop|length)$/);
    }
  }, 240_000);
});

describe("a client that goes away", () => {
  const long = {
    ...greedy,
    temperature: 1,
    max_tokens: 1500,
    seed: 1,
    messages: [{ role: "user" as const, content: "Tell a long story." }],
  };
  const lastGeneration = async (outcome: string, known: number) => {
    await vi.waitFor(
      () => expect(server.events("generation").filter((e) => e.outcome === outcome).length).toBe(known + 1),
      {
        timeout: 5000,
      },
    );
    return server.events("generation").at(-1);
  };
  const count = (outcome: string) => server.events("generation").filter((e) => e.outcome === outcome).length;

  it("while tokens flow stops the computation, within what the SDK had not read yet and five steps", async () => {
    const known = count("client_gone");
    const stream = await server.openai.chat.completions.create({ ...long, stream: true });
    let read = 0;
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) read++;
      if (read === 10) break;
    }
    const generation = await lastGeneration("client_gone", known);
    expect(generation?.tokens).toBeGreaterThanOrEqual(10);
    // Five steps, and as many tokens that the SDK had not read yet when it left.
    expect(generation?.tokens).toBeLessThanOrEqual(10 + 10);
  });

  it("before the first token, while its prompt goes in, is noticed too", async () => {
    const known = count("client_gone");
    const content = "word ".repeat(1500);
    const controller = new AbortController();
    const asked = server.openai.chat.completions.create(
      { ...long, messages: [{ role: "user", content }], max_tokens: 100, stream: true },
      { signal: controller.signal },
    );
    await asked;
    controller.abort();
    const left = Date.now();
    const generation = await lastGeneration("client_gone", known);
    expect(generation?.tokens).toBe(0);
    expect(Date.now() - left).toBeLessThan(2000);
  });
});

/** Whether a process runs; one that has ended and was not yet reaped by its parent does not. */
const isRunning = (pid: string): boolean =>
  !/^Z?$/.test(spawnSync("ps", ["-o", "stat=", "-p", pid], { encoding: "utf8" }).stdout.trim().slice(0, 1));

describe("the process", () => {
  it("prints one ready line with URL, key and a curl line that works, and nothing of the tools underneath", async () => {
    const lines = server.output().trim().split("\n");
    const ready = lines.filter((line) => line.includes("ready"));
    expect(ready).toHaveLength(1);
    expect(ready[0]).toContain(server.url);
    expect(ready[0]).toContain(server.key);
    const curl = /curl .*$/.exec(ready[0]!)?.[0];
    const reply = JSON.parse(execFileSync("bash", ["-c", `${curl} -sS`], { encoding: "utf8" }));
    expect(reply.choices[0].message.content.length).toBeGreaterThan(0);
    // Migrations are applied at the first start, and when there are new ones.
    const others = lines.filter((line) => !/^(\{|applying migration \d{4}_\w+\.sql$)/.test(line) && line !== ready[0]);
    expect(others).toEqual(["loading weights …"]);
  });

  it("logs requests without keys or texts", () => {
    const log = server
      .output()
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .join("\n");
    expect(log).toContain('"model":"smollm2-135m"');
    expect(log).not.toContain(server.key);
    expect(log).not.toMatch(/capital|Rome|long story/);
  });

  it.each([
    ["port", () => port, () => `port ${port} is taken`],
    ["state", freePort, () => `another npm start keeps its state in ${server.state}`],
  ])("says so when the %s is taken", async (_, another, message) => {
    const { status, stderr } = spawnSync(process.execPath, await startCommand(), {
      cwd: root,
      env: { ...process.env, FRANKEN_STATE: server.state, PORT: String(await another()) },
      encoding: "utf8",
    });
    expect(status).toBe(1);
    expect(stderr).toContain(message());
  });

  it("ends with code 0 on Ctrl-C and leaves no process behind", async () => {
    const children = execFileSync("pgrep", ["-P", String(server.process.pid)], { encoding: "utf8" })
      .trim()
      .split("\n");
    expect(children.length).toBeGreaterThan(0);
    expect(await server.stop()).toBe(0);
    await vi.waitFor(() => expect(children.filter(isRunning)).toEqual([]));
    await expect(fetch(`${server.url}/health`)).rejects.toThrow();
  });
});
