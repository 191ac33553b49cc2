// A client's `x-request-id` is for logs and headers. Whatever a client sends there, it names nothing inside.
import { describe, expect, it } from "vitest";
import { POLICY } from "../../src/routing/question.ts";
import { madeUpQualities } from "../routing/made-up.ts";
import { catalogue, end, KEY, routingOptions, testGateway, tokens, USER } from "./gateway.ts";

const ID = "0000-chosen-by-the-client";
const chat = (gateway: ReturnType<typeof testGateway>, body: object, key = KEY): Promise<Response> =>
  gateway.fetch("/v1/chat/completions", {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}`, "x-request-id": ID },
    body: JSON.stringify({ model: "smollm2-135m", messages: USER, ...body }),
  });

describe("two requests with the same x-request-id, of two keys", () => {
  it("are two generations to the replica, and keep the id in log and header", async () => {
    const gateway = testGateway();
    const replies = [await chat(gateway, { n: 2 }), await chat(gateway, { n: 2 }, "sk-test-two")];
    const { requests } = gateway.replica;
    expect(new Set(requests.map(({ id }) => id)).size).toBe(4);
    expect(requests.filter(({ id }) => id.includes(ID))).toEqual([]);
    expect(requests.map(({ requestId }) => requestId)).toEqual([ID, `${ID}.1`, ID, `${ID}.1`]);
    expect(replies.map(({ headers }) => headers.get("x-request-id"))).toEqual([ID, ID]);
    expect(gateway.records.map(({ requestId }) => requestId)).toEqual([ID, ID]);
  });

  it("are downshifted each by itself", async () => {
    const slow = [...tokens(Array.from({ length: 8 }, () => 19556)), 200, ...tokens([19556]), end];
    const gateway = testGateway(slow);
    const hurried = { max_tokens: 100, budget: { latency_ms: 250, downshift: true } };
    await Promise.all(
      [chat(gateway, hurried), chat(gateway, {}, "sk-test-two")].map(async (reply) => (await reply).text()),
    );
    const [first] = gateway.replica.requests.filter(({ maxTokens }) => maxTokens === 100);
    expect(gateway.replica.switched.length).toBeGreaterThan(0);
    expect(new Set(gateway.replica.switched)).toEqual(new Set([first?.id]));
  });

  it("explore independently of each other", async () => {
    const policy = { ...POLICY, explore: 0.5, exploreWithin: 1000 };
    const qualities = madeUpQualities(catalogue, "smollm2-135m");
    const gateway = testGateway([end], { routing: routingOptions({ policy, qualities }) });
    const rules = new Set<string | null>();
    for (let i = 0; i < 40; i++) {
      const reply = await chat(gateway, { model: "auto", budget: { latency_ms: 60_000 } });
      rules.add(reply.headers.get("x-franken-rule"));
    }
    expect(rules.size).toBeGreaterThan(1);
  });
});
