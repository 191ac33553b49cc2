// One key misbehaves in every way that it can; another key's lone request is answered as if it hardly did.
import { rm, writeFile } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { copyProject } from "./copy.ts";

const [GREEDY, LONE] = ["sk-greedy", "sk-lone"];
let project: string;
let server: Server;
let port: number;
let idleMs: number;
/** Ends what the greedy key does. */
let stop: AbortController;

beforeAll(async () => {
  project = await copyProject();
  await writeFile(join(project, ".dev.vars"), `API_KEYS='["${GREEDY}", "${LONE}"]'\n`);
  port = await freePort();
  server = await startServer(await startCommand(), port, { SCORES_CRON: "0 0 1 1 *" }, project);
  for (let i = 0; i < 4; i++) await lone();
  const times: number[] = [];
  for (let i = 0; i < 5; i++) times.push(await lone());
  idleMs = times.toSorted((a, b) => a - b)[2] as number;
});
afterAll(async () => {
  await server?.stop();
  await rm(project, { recursive: true, force: true });
});
beforeEach(() => {
  stop = new AbortController();
});
afterEach(async () => {
  stop.abort();
  const until = Date.now() + 60_000;
  for (;;) {
    const { replicas } = (await (await fetch(`${server.url}/health`)).json()) as { replicas: { running: number }[] };
    if (replicas.every(({ running }) => running === 0) || Date.now() > until) return;
    await sleep(200);
  }
});

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
let number = 0;

/** Once more where the server closed a connection that had been idle for seconds, just as it was used anew. */
function post(path: string, key: string, body: object, signal?: AbortSignal): Promise<Response> {
  const ask = (): Promise<Response> =>
    fetch(`${server.url}${path}`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "smollm2-135m", temperature: 0, ...body }),
      ...(signal ? { signal } : {}),
    });
  return signal ? ask() : ask().catch(ask);
}

/** Milliseconds of a lone request: a prompt of 32 tokens that is new, and 8 tokens of an answer. */
async function lone(): Promise<number> {
  const prompt = Array.from({ length: 32 }, (_, i) => 1_000 + ((number * 37 + i * 101) % 20_000));
  number++;
  const asked = performance.now();
  const response = await post("/v1/completions", LONE, { prompt, max_tokens: 8, temperature: 1, seed: number });
  await response.text();
  expect(response.status).toBe(200);
  return performance.now() - asked;
}

/** The slowest of a few lone requests while the other key is at it. */
async function slowest(): Promise<number> {
  let most = 0;
  for (let i = 0; i < 4; i++) {
    most = Math.max(most, await lone());
    await sleep(300);
  }
  return most;
}

/** A reader that asks for a long stream and takes a byte a second. */
function slowReader(): Socket {
  const body = JSON.stringify({
    model: "smollm2-135m",
    stream: true,
    max_tokens: 2_000,
    logprobs: true,
    top_logprobs: 20,
    temperature: 1,
    messages: [{ role: "user", content: "Tell a very long story." }],
  });
  const socket = connect(port, "127.0.0.1");
  socket.write(
    `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${GREEDY}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  socket.on("error", () => {});
  socket.pause();
  const timer = setInterval(() => socket.read(1), 1_000);
  stop.signal.addEventListener("abort", () => {
    clearInterval(timer);
    socket.destroy();
  });
  return socket;
}

const flood = (count: number, path: string, body: (i: number) => object): Promise<Response[]> =>
  Promise.all(
    Array.from({ length: count }, (_, i) =>
      post(path, GREEDY, body(i), stop.signal).catch(() => new Response(null, { status: 499 })),
    ),
  );

/** The status of one of the greedy key's responses. */
async function greedy(method: string, path: string): Promise<string> {
  const headers = { authorization: `Bearer ${GREEDY}` };
  const ask = (): Promise<Response> => fetch(`${server.url}${path}`, { method, headers });
  const response = await ask().catch(ask);
  return ((await response.json()) as { status: string }).status;
}

const words = (i: number, tokens: number): number[] =>
  Array.from({ length: tokens }, (_, at) => 2_000 + ((i * 7_919 + at * 13) % 20_000));

describe("while another key", { retry: 2 }, () => {
  const bound = (): number => 5 * idleMs + 500;

  it("reads two long streams a byte a second, a lone request is answered in time", async () => {
    slowReader();
    slowReader();
    await sleep(2_000);
    expect(await slowest()).toBeLessThan(bound());
    await sleep(6_000);
    expect(await slowest()).toBeLessThan(bound());
  });

  it("sends 32 prompts of 1,500 tokens, the flood is told when to come back, and a lone request is answered", async () => {
    const flooding = flood(32, "/v1/completions", (i) => ({ prompt: words(i, 1_500), max_tokens: 8 }));
    await sleep(1_000);
    expect(await slowest()).toBeLessThan(bound());
    stop.abort();
    const refused = (await flooding).filter(({ status }) => status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const { headers } of refused) {
      expect(Number(headers.get("retry-after-ms"))).toBeGreaterThan(0);
      expect(headers.get("retry-after")).toBe(String(Math.ceil(Number(headers.get("retry-after-ms")) / 1_000)));
    }
  });

  it("asks eight times at once with a deadline, for ever, a lone request is answered in time", async () => {
    const loop = async (i: number): Promise<void> => {
      while (!stop.signal.aborted) {
        await flood(1, "/v1/completions", () => ({
          prompt: words(i, 40),
          max_tokens: 100,
          temperature: 1,
          budget: { latency_ms: 4_900 },
        }));
      }
    };
    const loops = Array.from({ length: 8 }, (_, i) => loop(i));
    await sleep(1_000);
    expect(await slowest()).toBeLessThan(bound());
    stop.abort();
    await Promise.all(loops);
  });

  it("queues 150 background responses, a few run at a time, and a lone request is answered in time", async () => {
    const asked = await flood(150, "/v1/responses", (i) => ({
      input: `Tell story number ${i}.`,
      max_output_tokens: 400,
      temperature: 1,
      background: true,
    }));
    const taken = asked.filter(({ status }) => status === 200);
    expect(taken.length).toBeGreaterThan(140);
    const responses = await Promise.all(
      taken.map(async (response) => (await response.json()) as { id: string; status: string }),
    );
    expect(responses.map(({ status }) => status)).toEqual(responses.map(() => "queued"));
    expect(await slowest()).toBeLessThan(bound());
    const statuses: string[] = [];
    for (const { id } of responses) statuses.push(await greedy("GET", `/v1/responses/${id}`));
    expect(statuses.filter((status) => status === "in_progress").length).toBeLessThanOrEqual(4);
    expect(statuses.filter((status) => status === "queued").length).toBeGreaterThan(100);
    const cancelled: string[] = [];
    for (const { id } of responses.toReversed()) cancelled.push(await greedy("POST", `/v1/responses/${id}/cancel`));
    expect(cancelled.filter((status) => status === "cancelled").length).toBeGreaterThan(100);
  });

  it("gives up on thirty whole replies, a lone request is answered in time", async () => {
    const asked = flood(30, "/v1/completions", (i) => ({ prompt: words(i, 20), max_tokens: 1_000, temperature: 1 }));
    await sleep(500);
    stop.abort();
    await asked;
    expect(await slowest()).toBeLessThan(bound());
  });
});
