// 10,000 mutated requests, and connections that break off, against the process that `npm start` runs.
import { execFileSync } from "node:child_process";
import { connect } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../e2e/server.ts";
import { createRandom } from "../experiments/random.ts";
import { type HostileRequest, hostileRequests } from "../support/hostile.ts";
import { faultOf } from "../support/judge.ts";

const REQUESTS = 10_000;
const AT_ONCE = 4;
/** Caches fill and the heap finds its size; what comes after must stay. */
const WARM_UP = 4_000;
const MOST_GROWTH_MIB = 48;

let server: Server;
let port: number;
beforeAll(async () => {
  port = await freePort();
  server = await startServer(await startCommand(), port);
});
afterAll(async () => {
  await server?.stop();
});

/** Resident memory of the Workers runtime, which is what the process started, in MiB. */
function residentMiB(): number {
  const rows = execFileSync("ps", ["-A", "-o", "pid=,ppid=,rss="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((row) => row.trim().split(/\s+/).map(Number) as [number, number, number]);
  const family = new Set([server.process.pid]);
  for (let before = 0; before < family.size; ) {
    before = family.size;
    for (const [pid, parent] of rows) if (family.has(parent)) family.add(pid);
  }
  return rows.reduce((sum, [pid, , kib]) => sum + (family.has(pid) && pid !== server.process.pid ? kib / 1024 : 0), 0);
}

async function send({ method, path, headers, body }: HostileRequest): Promise<Response> {
  const authorized = { authorization: `Bearer ${server.key}`, ...headers };
  const init = { method, headers: authorized, body: body ?? null, signal: AbortSignal.timeout(60_000) };
  const once = (): Promise<Response> => fetch(`${server.url}${path}`, init);
  // A connection that was closed after the reply before this one is no fault of this request; one that it closes itself is.
  return once().catch(once);
}

it(`answers ${REQUESTS} mutated requests with a 2xx or an error envelope, without a 5xx, a crash or growing memory`, async () => {
  const faults: string[] = [];
  const statuses = new Map<number, number>();
  const sizes: number[] = [];
  const waiting = hostileRequests(20_261, REQUESTS).entries();
  const worker = async (): Promise<void> => {
    for (const [index, request] of waiting) {
      if (index >= WARM_UP && index % 500 === 0) sizes.push(residentMiB());
      const response = await send(request);
      statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
      const fault = await faultOf(request, response);
      if (fault) faults.push(fault);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  sizes.push(residentMiB());
  console.log(`statuses ${JSON.stringify([...statuses].sort())}, resident ${sizes.map(Math.round).join(" ")} MiB`);
  expect(faults.slice(0, 20)).toEqual([]);
  expect(server.events("failure")).toEqual([]);
  // Half of the samples against the other half: a leak shows in both, a collection that is due in one.
  const half = sizes.length >> 1;
  const mean = (list: readonly number[]): number => list.reduce((sum, size) => sum + size, 0) / list.length;
  expect(mean(sizes.slice(half)) - mean(sizes.slice(0, half))).toBeLessThan(MOST_GROWTH_MIB);
});

it("survives connections that break off in the middle of a request or send what is no HTTP", async () => {
  const random = createRandom(5);
  const body = JSON.stringify({ model: "smollm2-135m", messages: [{ role: "user", content: "Hi" }], stream: true });
  const whole = `POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nauthorization: Bearer ${server.key}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
  const chunked = whole.replace(/content-length: \d+/, "transfer-encoding: chunked");
  const cut = (text: string): string => text.slice(0, 1 + Math.floor(random() * text.length));
  const texts = [
    ...Array.from({ length: 60 }, () => cut(whole)),
    ...Array.from({ length: 30 }, () => cut(chunked)),
    ...[
      "\r\n\r\n",
      "GET",
      "\u0000\u0001\u0002",
      `GET / HTTP/1.1\r\n${"a: b\r\n".repeat(20_000)}\r\n`,
      "GET / HTTP/9.9\r\n\r\n",
    ],
    ...[
      `GET /${"a".repeat(100_000)} HTTP/1.1\r\nhost: a\r\n\r\n`,
      whole.replace("content-length: ", "content-length: -"),
    ],
  ];
  for (const text of texts) {
    await new Promise<void>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => socket.write(text, () => setTimeout(() => socket.destroy(), 5)));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
  }
  const reply = await server.openai.chat.completions.create({
    model: "smollm2-135m",
    messages: [{ role: "user", content: "Say hello." }],
    max_completion_tokens: 3,
  });
  expect(reply.usage?.completion_tokens).toBe(3);
  expect(server.process.exitCode).toBeNull();
});
