import { describe, expect, it, vi } from "vitest";
import type { Frame } from "../../src/replica/protocol.ts";
import { end, errorOf, type Script, saying, testGateway, tokens, USER, wait } from "./gateway.ts";

const failed: Frame = { type: "error", code: "internal", message: "why" };
const paths = [
  ["/v1/chat/completions", { messages: USER }],
  ["/v1/completions", { prompt: "Hi" }],
  ["/v1/responses", { input: "Hi" }],
] as const;
const gatewayOf = (script: Script, path: string, asked: object) => {
  const gateway = testGateway(script);
  const body = JSON.stringify({ model: "smollm2-135m", ...asked });
  const request = { method: "POST", headers: { "content-type": "application/json" }, body };
  return { ...gateway, open: () => gateway.open(path, request), ask: () => gateway.fetch(path, request) };
};
const words = (count: number, pauseMs: number): Script =>
  Array.from({ length: count }, () => [pauseMs, ...tokens([19556])]).flat();

describe.each(paths)("a whole reply of %s", (path, asked) => {
  it("is white space while it is made, then JSON, and no compressor may hold it back", async () => {
    const script = await saying("Hello there you all");
    const { open } = gatewayOf([wait, ...script.slice(0, 2), wait, 20, wait, ...script.slice(2)], path, asked);
    const response = await open();
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("content-encoding")).toBe("identity");
    const text = await response.text();
    expect(text).toMatch(/^ {3,}\{/);
    expect(JSON.stringify(JSON.parse(text))).toContain("Hello there you all");
  });

  it("has a failure's status before the first token, however long that is in coming", async () => {
    const { ask, records } = gatewayOf([wait, 20, { type: "start", cached: 0 }, wait, 20, wait, failed], path, asked);
    const response = await ask();
    expect(response.status).toBe(500);
    expect((await errorOf(response)).code).toBe("internal_error");
    expect(records[0]).toMatchObject({ status: 500, error: "internal_error" });
  });

  it("breaks off without a word of the answer when it fails after that", async () => {
    for (const last of [failed, "break"] as const) {
      const { open, records, settled } = gatewayOf([...tokens([19556, 28]), 20, last], path, asked);
      const response = await open();
      expect(response.status).toBe(200);
      const decoder = new TextDecoder();
      let told = "";
      const reading = (async () => {
        for await (const chunk of response.body as ReadableStream<Uint8Array>) told += decoder.decode(chunk);
      })();
      await expect(reading).rejects.toThrow();
      expect(told.trim()).toBe("");
      await settled();
      expect(records[0]?.error).toBe(last === "break" ? "replica_unavailable" : "internal_error");
    }
  });

  it("stops the replica within a few tokens of a client that leaves", async () => {
    const { open, replica, records, failures } = gatewayOf([...words(100, 20), end], path, asked);
    const reader = ((await open()).body as ReadableStream<Uint8Array>).getReader();
    for (let i = 0; i < 3; i++) await reader.read();
    await reader.cancel();
    await vi.waitFor(() => expect(replica.cancelled).toBe(1), { interval: 5 });
    await vi.waitFor(() => expect(records[0]?.error).toBe("client_gone"));
    expect(records[0]?.completionTokens).toBeLessThan(3 + 5);
    expect(failures).toEqual([]);
  });
});

it("a whole reply of several choices stops all of them", async () => {
  const { open, replica } = gatewayOf([...words(100, 20), end], "/v1/chat/completions", { messages: USER, n: 4 });
  const reader = ((await open()).body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  await reader.cancel();
  await vi.waitFor(() => expect(replica.cancelled).toBe(4), { interval: 5 });
});
