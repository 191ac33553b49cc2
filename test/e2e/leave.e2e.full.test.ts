// Clients that leave, and connections that live on: the process that `npm start` runs, on the real engine.
import { execFile } from "node:child_process";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { service } from "./service.ts";

const LONG = 2000;
/** A reply that would take some 20 seconds. */
const body = JSON.stringify({
  model: "smollm2-135m",
  messages: [{ role: "user", content: "Count from one to ten thousand." }],
  max_tokens: LONG,
  logit_bias: { 2: -100 },
  seed: 1,
});

/** Asserted where nothing runs beside: files of this tier run one after the other. */
const STOPPED_MS = 250;

const server = service();
const port = Number(new URL(server.url).port);

const headers = () => ({ authorization: `Bearer ${server.key}`, "content-type": "application/json" });
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const generations = () => server.events("generation");
const until = async <T>(find: () => T | undefined, ms = 10_000): Promise<T> => {
  for (const started = Date.now(); ; await pause(5)) {
    const found = find();
    if (found !== undefined) return found;
    if (Date.now() - started > ms) throw new Error("it did not happen in time");
  }
};

const head = (path: string, length: number, key = server.key): string =>
  `POST ${path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\ncontent-length: ${length}\r\n\r\n`;
/** A connection that has asked for the long reply and been told that it is begun. */
async function begun(): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => {});
  socket.write(head("/v1/chat/completions", Buffer.byteLength(body)) + body);
  await new Promise((resolve) => socket.once("data", resolve));
  socket.resume();
  return socket;
}

/** Ways to leave; each settles when it has left. */
const WAYS: Record<string, () => Promise<void>> = {
  "aborts its fetch": async () => {
    const controller = new AbortController();
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: headers(),
      body,
      signal: controller.signal,
    });
    const reading = response.text().catch(() => {});
    await pause(200);
    controller.abort();
    await reading;
  },
  "aborts a request on a connection that is kept alive": async () => {
    const agent = new Agent({ keepAlive: true });
    await new Promise<void>((resolve) => {
      const asked = request(`${server.url}/v1/chat/completions`, { method: "POST", agent, headers: headers() });
      asked.on("error", () => {});
      asked.on("response", (response) => {
        response.on("error", () => {});
        response.resume();
        setTimeout(() => {
          asked.destroy();
          resolve();
        }, 200);
      });
      asked.end(body);
    });
  },
  "runs into curl's timeout": () =>
    new Promise((resolve) => {
      const given = Object.entries(headers()).flatMap(([name, value]) => ["-H", `${name}: ${value}`]);
      const url = `${server.url}/v1/chat/completions`;
      execFile("curl", ["-s", "--compressed", "--max-time", "1", ...given, "-d", body, url], () => resolve());
    }),
  "resets its connection": async () => {
    const socket = await begun();
    await pause(200);
    socket.resetAndDestroy();
  },
  "closes its half and then its connection": async () => {
    const socket = await begun();
    socket.end();
    await pause(200);
    socket.destroy();
  },
};

describe("the generation of a whole reply", () => {
  it.each(Object.entries(WAYS))("stops when its client %s", async (_name, leave) => {
    const before = generations().length;
    await leave();
    const left = Date.now();
    const over = await until(() => generations()[before]);
    expect(Date.now() - left).toBeLessThan(STOPPED_MS);
    expect(over.outcome).toBe("client_gone");
    expect(over.tokens).toBeGreaterThan(0);
    expect(over.tokens).toBeLessThan(LONG / 2);
  });

  it("stops within five tokens", async () => {
    const before = generations().length;
    const controller = new AbortController();
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: headers(),
      body,
      signal: controller.signal,
    });
    let told = 0;
    const reading = (async () => {
      for await (const chunk of response.body as ReadableStream<Uint8Array>) told += chunk.length;
    })().catch(() => {});
    await pause(300);
    controller.abort();
    await reading;
    const { tokens } = await until(() => generations()[before]);
    // A byte a token was told.
    expect(Number(tokens) - told).toBeLessThanOrEqual(5);
  });

  it("stops while its prompt is computed, when its client resets the connection, and the log says so", async () => {
    const id = "left-before-its-first-token";
    const prompt = JSON.stringify({
      model: "smollm2-135m",
      prompt: `${Math.random()}${" word".repeat(1500)}`,
      max_tokens: 8,
    });
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    const length = Buffer.byteLength(prompt);
    socket.write(`${head("/v1/completions", length).trimEnd()}\r\nx-request-id: ${id}\r\n\r\n${prompt}`);
    await pause(1000);
    socket.resetAndDestroy();
    const record = await until(() => server.events("request").find(({ requestId }) => requestId === id));
    expect(record.error).toBe("client_gone");
    // On a slow machine it left before the replica was asked.
    await pause(500);
    for (const { outcome, tokens } of generations().filter(({ requestId }) => requestId === id)) {
      expect({ outcome, tokens }).toEqual({ outcome: "client_gone", tokens: 0 });
    }
  });

  it("is white space before JSON for whoever stays, half-closed or not", async () => {
    const asked = {
      model: "smollm2-135m",
      messages: [{ role: "user", content: "Hi" }],
      max_tokens: 20,
      temperature: 0,
    };
    const text = JSON.stringify(asked);
    const whole = await server.openai.chat.completions.create(asked as never);
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let told = "";
    socket.on("data", (chunk) => (told += chunk));
    socket.end(head("/v1/chat/completions", Buffer.byteLength(text)) + text);
    await new Promise((resolve) => socket.once("end", resolve));
    const content = (whole as unknown as { choices: { message: { content: string } }[] }).choices[0]?.message.content;
    expect(told).toContain(JSON.stringify(content));
  });
});

describe("a connection that is kept alive", () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ask = (path: string, text: string | undefined, given: Record<string, string>): Promise<number> =>
    new Promise((resolve, reject) => {
      const asked = request(`${server.url}${path}`, {
        method: text === undefined ? "GET" : "POST",
        agent,
        headers: given,
      });
      asked.on("error", reject);
      asked.on("response", (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode as number));
      });
      asked.end(text);
    });

  it.each([10, 60_000, 1_000_000])("does not lose the request after one refused unread, of %i bytes", async (size) => {
    const text = "x".repeat(size);
    const statuses: number[] = [];
    for (let i = 0; i < 20; i++) {
      const wrong = [
        ["/v1/chat/completions", { authorization: "Bearer wrong" }],
        ["/v1/nothing", headers()],
        ["/v1/models", headers()],
        ["/v1/chat/completions", { ...headers(), "content-type": "text/plain" }],
      ] as const;
      const [path, given] = wrong[i % 4] as (typeof wrong)[number];
      statuses.push(await ask(path, text, given), await ask("/v1/models", undefined, headers()));
    }
    expect(statuses.filter((_, i) => i % 2 === 1)).toEqual(Array.from({ length: 20 }, () => 200));
    expect(new Set(statuses.filter((_, i) => i % 2 === 0))).toEqual(new Set([401, 404, 405, 415]));
  });
});

describe("a body", () => {
  it("that breaks off is a client that left, and no failure", async () => {
    const id = "a-body-that-breaks-off";
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`${head("/v1/chat/completions", 1000).trimEnd()}\r\nx-request-id: ${id}\r\n\r\n{"model":`);
    await pause(200);
    socket.end();
    const record = await until(() => server.events("request").find(({ requestId }) => requestId === id));
    expect(record.error).toBe("client_gone");
    const another = connect(port, "127.0.0.1");
    another.on("error", () => {});
    another.write(`${head("/v1/chat/completions", 1000)}{"model":`);
    await pause(200);
    another.resetAndDestroy();
    await pause(200);
    expect(server.events("failure")).toEqual([]);
  });
});
