import { describe, expect, test } from "vitest";
import { type Buckets, type Limits, take } from "../../src/limits/bucket.ts";
import { LIMIT_HEADERS } from "../../src/limits/index.ts";
import type { ServicesOptions } from "../../src/services.ts";
import { end, errorOf, saying, type TestGateway, testGateway } from "./gateway.ts";

const TIME = 1_700_000_000_000;

/** A gateway whose key has limits, with buckets in memory and a clock that a test moves. */
async function limited(limits: Limits, options: Partial<ServicesOptions> = {}) {
  const clock = { now: TIME };
  const kept = new Map<string, Buckets>();
  const gateway = testGateway(await saying("Hello there"), {
    apiKeys: JSON.stringify([
      "sk-test-two",
      { key: "sk-test-one", requests_per_minute: limits.requests, tokens_per_minute: limits.tokens },
    ]),
    now: () => clock.now,
    limitsOf: (keyId) => ({
      async take(asked, amounts) {
        const { buckets, verdict } = take(kept.get(keyId) ?? {}, asked, amounts, clock.now);
        kept.set(keyId, buckets);
        return verdict;
      },
    }),
    ...options,
  });
  return { gateway, clock };
}

const limitHeadersOf = (response: Response): Record<string, string> =>
  Object.fromEntries(
    LIMIT_HEADERS.flatMap((name) => {
      const value = response.headers.get(name);
      return value === null ? [] : [[name.replace("x-ratelimit-", ""), value]];
    }),
  );
const ended = async (gateway: TestGateway, response: Response): Promise<void> => {
  await response.text();
  await gateway.settled();
};

describe("a key with limits", () => {
  test("is told all six in every reply that counts, whole, streamed or an error", async () => {
    for (const body of [{ max_tokens: 50 }, { max_tokens: 50, stream: true }]) {
      const { gateway } = await limited({ requests: 2, tokens: 600 });
      const response = await gateway.chat(body);
      expect(response.status).toBe(200);
      // 31 tokens of the prompt and 50 of the reply: 81 of 600 come back in 8.1 s.
      expect(limitHeadersOf(response)).toEqual({
        "limit-requests": "2",
        "remaining-requests": "1",
        "reset-requests": "30s",
        "limit-tokens": "600",
        "remaining-tokens": "519",
        "reset-tokens": "8.1s",
      });
      await ended(gateway, response);
      const refused = await gateway.chat({ temperature: 3 });
      expect(refused.status).toBe(400);
      expect(limitHeadersOf(refused)).toMatchObject({ "remaining-requests": "0", "reset-requests": "1m0s" });
    }
  });

  test("gets 429 for one request too many, and when to come again", async () => {
    const { gateway, clock } = await limited({ requests: 2 });
    for (let i = 0; i < 2; i++) await ended(gateway, await gateway.chat({}));
    const response = await gateway.chat({});
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("30");
    expect(response.headers.get("x-should-retry")).toBe("true");
    expect(limitHeadersOf(response)).toEqual({
      "limit-requests": "2",
      "remaining-requests": "0",
      "reset-requests": "1m0s",
    });
    expect(await errorOf(response)).toEqual({
      message: "This API key has reached its limit of 2 requests a minute. Try again in 30s.",
      type: "requests",
      param: null,
      code: "rate_limit_exceeded",
    });
    expect(gateway.replica.requests).toHaveLength(2);
    clock.now += 30_000;
    expect((await gateway.chat({})).status).toBe(200);
  });

  test("gets 429 for tokens that it has not left, and back what it did not use", async () => {
    const { gateway } = await limited({ tokens: 200 });
    // Nobody reads the first one yet, so it has not ended.
    const first = await gateway.chat({ max_tokens: 100, stream: true });
    const second = await gateway.chat({ max_tokens: 100 });
    expect([first.status, second.status]).toEqual([200, 429]);
    expect(await errorOf(second)).toMatchObject({ type: "tokens", code: "rate_limit_exceeded", param: null });
    // 131 are asked for and 69 are left: the other 62 take 18.6 s.
    expect(second.headers.get("retry-after")).toBe("19");
    await ended(gateway, first);
    const { usage } = (await (await gateway.chat({ max_tokens: 100 })).json()) as { usage: { total_tokens: number } };
    await gateway.settled();
    const third = await gateway.chat({ max_tokens: 20 });
    expect(limitHeadersOf(third)["remaining-tokens"]).toBe(String(200 - 2 * usage.total_tokens - 51));
  });

  test("is told not to retry what is more than a minute allows", async () => {
    const { gateway } = await limited({ tokens: 100 });
    const response = await gateway.chat({ n: 2, max_tokens: 40 });
    expect(response.status).toBe(429);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(response.headers.get("retry-after")).toBeNull();
    expect((await errorOf(response)).message).toContain("may use 111 tokens");
  });

  test("gets all tokens back for a request that was refused later, or failed", async () => {
    const { gateway } = await limited({ tokens: 200 });
    const unmet = await gateway.chat({ max_tokens: 60, budget: { min_hellaswag: 99, strict: true } });
    expect(unmet.status).toBe(422);
    await ended(gateway, unmet);
    expect(limitHeadersOf(await gateway.chat({ max_tokens: 60 }))["remaining-tokens"]).toBe("109");
  });

  test("may read what does not generate as often as it likes", async () => {
    const { gateway } = await limited({ requests: 1 });
    for (let i = 0; i < 3; i++) {
      const response = await gateway.fetch("/v1/models");
      expect(response.status).toBe(200);
      expect(limitHeadersOf(response)).toEqual({});
    }
  });
});

test("a key without limits calls no one and is told none", async () => {
  const { gateway } = await limited({ requests: 1 }, { limitsOf: () => expect.unreachable() });
  const response = await gateway.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { authorization: "Bearer sk-test-two", "content-type": "application/json" },
    body: JSON.stringify({ model: "smollm2-135m", messages: [{ role: "user", content: "Hi" }] }),
  });
  expect(response.status).toBe(200);
  expect(limitHeadersOf(response)).toEqual({});
  expect(gateway.failures).toEqual([]);
});

test.each([
  ["fails", async () => Promise.reject(new Error("the machine is gone"))],
  ["never answers", () => new Promise<never>(() => {})],
] as const)("a limiter that %s lets requests through, and the log says so", async (_name, take) => {
  const gateway = testGateway([end], {
    apiKeys: '[{"key": "sk-test-one", "requests_per_minute": 1}]',
    limitsOf: () => ({ take }),
  });
  const response = await gateway.chat({});
  expect(response.status).toBe(200);
  expect(limitHeadersOf(response)).toEqual({});
  expect(gateway.failures[0]?.message).toMatch(/limits are not at hand, and not kept/);
});

test.each([
  ["requests_per_minute", 0],
  ["tokens_per_minute", 1.5],
  ["tokens_per_minute", "100"],
])("a key whose %s is %j is a mistake of the gateway's owner, who is told", async (name, value) => {
  const gateway = testGateway([end], { apiKeys: JSON.stringify(["sk-test-one", { key: "sk-secret", [name]: value }]) });
  const response = await gateway.chat({});
  expect(response.status).toBe(500);
  const { code, message } = await errorOf(response);
  expect(code).toBe("misconfigured");
  expect(message).toContain(`entry 1 has a '${name}'`);
  expect(message).not.toContain("sk-secret");
});
