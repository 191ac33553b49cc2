// Background jobs: the service is called for them directly, and a failure says what is to become of
// the job.
import { describe, expect, it } from "vitest";
import type { Limits } from "../../src/limits/index.ts";
import { newResponse, parseResponseRequest } from "../../src/openai/index.ts";
import { JobError, type ResponseJob } from "../../src/responses/index.ts";
import { end, type Script, saying, testGateway, tokens } from "./gateway.ts";

const BASE = "smollm2-135m";
const rome = await saying("Rome.");

async function jobOf(body: object = {}, more: Partial<ResponseJob> = {}): Promise<ResponseJob> {
  const request = await parseResponseRequest({ model: BASE, input: "Hi", background: true, ...body }, () => "1");
  return {
    response: newResponse({ id: "resp_1", createdAt: 7, model: request.model, status: "queued" }, request.echo(true)),
    body: JSON.stringify(request.body),
    conversation: request.items,
    access: { keyId: "k", admin: false, budget: {}, limits: {} },
    headers: [["x-request-id", "req_of_the_client"]],
    ...more,
  };
}

const failureOf = async (script: Script, job?: ResponseJob): Promise<JobError> => {
  const error = await testGateway(script)
    .run(job ?? (await jobOf()))
    .catch((failure: unknown) => failure);
  expect(error).toBeInstanceOf(JobError);
  return error as JobError;
};

describe("a background job", () => {
  it("becomes the whole response, under the id and the time that its client was told", async () => {
    const gateway = testGateway(rome);
    const response = await gateway.run(await jobOf());
    expect(response).toMatchObject({
      id: "resp_1",
      created_at: 7,
      model: BASE,
      status: "completed",
      background: true,
      store: true,
      output: [{ type: "message", content: [{ text: "Rome." }] }],
    });
    expect(gateway.replica.requests[0]).toMatchObject({ requestId: "req_of_the_client", background: true, scope: "k" });
  });

  it("has a line in the log under its client's request id", async () => {
    const gateway = testGateway(rome);
    await gateway.run(await jobOf());
    expect(gateway.records).toEqual([
      expect.objectContaining({
        requestId: "req_of_the_client",
        route: "/v1/responses (background)",
        status: 200,
        model: BASE,
        finishReason: "stop",
        completionTokens: rome.length - 1,
        ms: expect.any(Number),
      }),
    ]);
    await gateway.settled();
  });

  it("keeps the budget of its client's headers, over that of its key", async () => {
    const access = { keyId: "k", admin: false, budget: { latency_ms: 50_000 }, limits: {} };
    const headers = [["x-ttft-budget-ms", "40000"]] as const;
    const gateway = testGateway(rome);
    await gateway.run(await jobOf({}, { access, headers }));
    const { allowed } = gateway.replica.requests[0] ?? {};
    expect(Math.round((allowed?.latencyMs ?? 0) / 10_000)).toBe(5);
    expect(Math.round((allowed?.ttftMs ?? 0) / 10_000)).toBe(4);
  });

  it("takes its key's tokens, and no request, which was counted when it came", async () => {
    const taken: { limits: Limits; requests: number; tokens: number }[] = [];
    const gateway = testGateway(rome, {
      limitsOf: () => ({
        async take(limits, { requests, tokens }) {
          taken.push({ limits, requests, tokens });
          return { standings: {}, refused: undefined };
        },
      }),
    });
    const access = { keyId: "k", admin: false, budget: {}, limits: { requests: 1, tokens: 10_000 } };
    await gateway.run(await jobOf({ max_output_tokens: 8 }, { access }));
    await gateway.settled();
    expect(taken.map(({ limits }) => limits)).toEqual(taken.map(() => ({ requests: undefined, tokens: 10_000 })));
    // Nothing is taken before the prompt is known but the look at the bucket.
    expect(taken.at(-1)).toMatchObject({ requests: 0, tokens: expect.any(Number) });
    expect(taken.at(-1)?.tokens).toBeLessThan(0);
  });
});

describe("a background job that fails", () => {
  it.each([
    ["overloaded", "server_error", true],
    ["out_of_memory", "server_error", true],
    ["key_overloaded", "rate_limit_exceeded", true],
    ["too_large", "invalid_prompt", false],
    ["context_overflow", "invalid_prompt", false],
    ["damaged_weights", "server_error", false],
    ["internal", "server_error", false],
  ] as const)("of %s is %s, and tried again: %s", async (code, told, retry) => {
    const error = await failureOf([{ type: "error", code, message: "why" }]);
    expect([error.code, error.retry, error.retryMs, error.message]).toEqual([told, retry, undefined, "why"]);
  });

  it("says when there will be room", async () => {
    const error = await failureOf([{ type: "error", code: "overloaded", message: "why", retryMs: 1500 }]);
    expect(error.retryMs).toBe(1500);
  });

  it("of a model that is not there any more is not tried again", async () => {
    const error = await failureOf([end], await jobOf({ model: "gone" }));
    expect([error.code, error.retry]).toEqual(["invalid_prompt", false]);
  });

  it("in the middle of its text gives no half response", async () => {
    const script: Script = [...tokens([19556]), { type: "error", code: "out_of_memory", message: "why" }];
    const gateway = testGateway(script);
    await expect(gateway.run(await jobOf())).rejects.toThrow("why");
    expect(gateway.records).toEqual([expect.objectContaining({ error: "out_of_memory", status: 503 })]);
  });
});
