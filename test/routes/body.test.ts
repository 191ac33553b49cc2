import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { ApiError } from "../../src/openai/index.ts";
import { drainBody, readJson } from "../../src/routes/body.ts";
import { ClientGoneError } from "../../src/serving/index.ts";
import { KEY, saying, testGateway, USER } from "./gateway.ts";

const MIB = 2 ** 20;
const request = (body: BodyInit, headers: Record<string, string> = {}): Request =>
  new Request("https://gateway.test/", {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body,
  });
const compressed = (bytes: Uint8Array, encoding = "gzip"): Request => request(bytes, { "content-encoding": encoding });
const codeOf = (reading: Promise<unknown>): Promise<unknown> =>
  reading.then(
    () => "read",
    (error: unknown) => (error instanceof ApiError ? error.code : (error as Error).name),
  );
/** A body that begins and does not go on. */
const begun = (then: (controller: ReadableStreamDefaultController<Uint8Array>) => void = () => {}) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('{"a":'));
      then(controller);
    },
  });

describe("a compressed body", () => {
  it("is read, whatever the case of its encoding's name", async () => {
    const json = new TextEncoder().encode('{"a":[1,"ü"]}');
    for (const [bytes, encoding] of [
      [gzipSync(json), "gzip"],
      [gzipSync(json), "GZip"],
      [deflateSync(json), "deflate"],
      [json, "identity"],
    ] as const) {
      expect(await readJson(compressed(bytes, encoding))).toEqual({ a: [1, "ü"] });
    }
  });

  it("is refused when it would be too large, without being decompressed any further", async () => {
    const bomb = gzipSync(new Uint8Array(100 * MIB));
    expect(bomb.length).toBeLessThan(MIB);
    const started = performance.now();
    expect(await codeOf(readJson(compressed(bomb)))).toBe("request_too_large");
    expect(performance.now() - started).toBeLessThan(1000);
    expect(await codeOf(readJson(compressed(deflateSync(new Uint8Array(5 * MIB)), "deflate")))).toBe(
      "request_too_large",
    );
  });

  it("that is not what its header says is the client's mistake", async () => {
    const whole = gzipSync(new TextEncoder().encode(JSON.stringify({ a: "b".repeat(1000) })));
    expect(await codeOf(readJson(compressed(new TextEncoder().encode("{}"))))).toBe("invalid_json");
    expect(await codeOf(readJson(compressed(whole.subarray(0, 20))))).toBe("invalid_json");
    expect(await codeOf(readJson(compressed(whole, "zstd")))).toBe("unsupported_media_type");
    expect(await codeOf(readJson(compressed(whole, "constructor")))).toBe("unsupported_media_type");
  });

  it("is answered as any other", async () => {
    const gateway = testGateway(await saying("Rome."));
    const response = await gateway.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json", "content-encoding": "gzip" },
      body: gzipSync(new TextEncoder().encode(JSON.stringify({ model: "smollm2-135m", messages: USER }))),
    });
    expect(response.status).toBe(200);
  });
});

describe("a body that does not come", () => {
  it("is given up after a while", async () => {
    expect(await codeOf(readJson(request(begun()), 30))).toBe("request_timeout");
  });

  it("or breaks off is a client that left", async () => {
    const broken = begun((controller) => setTimeout(() => controller.error(new Error("Network connection lost.")), 10));
    await expect(readJson(request(broken))).rejects.toBeInstanceOf(ClientGoneError);
  });

  it("is noted as such, without a stack", async () => {
    const gateway = testGateway();
    await gateway.fetch("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: begun((controller) => setTimeout(() => controller.error(new Error("Network connection lost.")), 10)),
    });
    expect(gateway.records[0]?.error).toBe("client_gone");
    expect(gateway.failures).toEqual([]);
  });
});

describe("a body that no reply depends on", () => {
  it("is read all the same, so that the connection stays usable", async () => {
    for (const [path, headers] of [
      ["/v1/chat/completions", { authorization: "Bearer wrong" }],
      ["/v1/chat/completions", { authorization: `Bearer ${KEY}`, "content-type": "text/plain" }],
      ["/v1/nothing", { authorization: `Bearer ${KEY}` }],
      ["/v1/models", { authorization: `Bearer ${KEY}` }],
    ] as const) {
      let pulled = 0;
      const body = new ReadableStream<Uint8Array>({
        pull(controller) {
          if (pulled++ < 50) controller.enqueue(new Uint8Array(1000));
          else controller.close();
        },
      });
      const response = await testGateway().fetch(path, { method: "POST", headers: { ...headers }, body });
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(pulled).toBe(51);
    }
  });

  it("is not waited for long, nor read without end", async () => {
    const started = performance.now();
    await drainBody(request(begun()), 30);
    expect(performance.now() - started).toBeLessThan(1000);
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(MIB));
      },
    });
    await drainBody(request(endless));
    expect(pulled).toBeLessThan(10);
  });
});
