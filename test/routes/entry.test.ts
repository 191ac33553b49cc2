import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import gateway from "../../src/gateway.ts";
import { catalogue, errorOf, KEY, USER } from "./gateway.ts";

const context = { waitUntil() {}, passThroughOnException() {}, props: {} } as unknown as ExecutionContext;
const call = async (path: string, init: RequestInit = {}): Promise<Response> => {
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const request = new Request(`https://gateway.test${path}`, { ...init, headers });
  return gateway.fetch(request, env as unknown as Parameters<typeof gateway.fetch>[1], context);
};

test("the entry serves the built catalogue under the configured keys", async () => {
  const response = await call("/v1/models");
  expect(response.status).toBe(200);
  expect(((await response.json()) as { data: unknown[] }).data).toHaveLength(catalogue.size + 1);
});

test("the entry loads the tokenizer and reports a replica that does not answer", async () => {
  const body = (content: string) => ({
    method: "POST",
    body: JSON.stringify({ model: "smollm2-135m", messages: [{ role: "user", content }] }),
  });
  const tooLong = await call("/v1/chat/completions", body(" word".repeat(9000)));
  expect((await errorOf(tooLong)).message).toContain("9030 tokens");
  // The replica Worker of the unit tests has an empty Durable Object.
  const unanswered = await call("/v1/chat/completions", body(USER[0]?.content ?? ""));
  expect(unanswered.status).toBe(503);
  expect((await errorOf(unanswered)).code).toBe("replica_unavailable");
  expect((await call("/health")).status).toBe(503);
});
