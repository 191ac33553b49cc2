import { describe, expect, test } from "vitest";
import { chatChunkSchema, chatCompletionSchema } from "../../src/openai/index.ts";
import type { Frame, GenerateRequest } from "../../src/replica/protocol.ts";
import {
  end,
  errorOf,
  ready,
  type Script,
  saying,
  sharedTokenizer,
  standIn,
  testGateway,
  tokens,
  wait,
} from "./gateway.ts";

interface Streamed {
  readonly events: string[];
  readonly comments: string[];
  readonly chunks: ReturnType<typeof chatChunkSchema.parse>[];
  readonly content: string;
}

/** Reads a stream of server-sent events; every chunk must be as the description says. */
async function readStream(response: Response): Promise<Streamed> {
  const bytes = await response.bytes();
  const blocks = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).split("\n\n");
  expect(blocks.pop()).toBe("");
  const events = blocks.filter((block) => block.startsWith("data: ")).map((block) => block.slice(6));
  const comments = blocks.filter((block) => block.startsWith(": "));
  expect(events.length + comments.length).toBe(blocks.length);
  const chunks = events
    .filter((event) => event !== "[DONE]" && !event.startsWith('{"error"'))
    .map((event) => chatChunkSchema.parse(JSON.parse(event)));
  const content = chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join("");
  return { events, comments, chunks, content };
}

const completionOf = async (response: Response) => chatCompletionSchema.strict().parse(await response.json());

describe("a whole reply", () => {
  test("has OpenAI's shape", async () => {
    const gateway = testGateway(await saying("Rome."), { now: () => 1_700_000_000_500, newId: () => "abc" });
    const response = await gateway.chat({});
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toContain("application/json");
    expect(await completionOf(response)).toEqual({
      id: "chatcmpl-abc",
      object: "chat.completion",
      created: 1_700_000_000,
      model: "smollm2-135m",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Rome.", refusal: null },
          logprobs: null,
          finish_reason: "stop",
        },
      ],
      usage: {
        prompt_tokens: 31,
        completion_tokens: 2,
        total_tokens: 33,
        prompt_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
      },
      system_fingerprint: expect.stringMatching(/^fp_[0-9a-f]{12}$/),
    });
  });

  test("asks the replica for just what was asked for", async () => {
    const gateway = testGateway();
    await gateway.chat({ temperature: 0.5, top_p: 0.9, seed: 42, max_tokens: 7 });
    await gateway.chat({});
    await gateway.chat({});
    const [asked, first, second] = gateway.replica.requests;
    expect(asked).toMatchObject({ variant: "smollm2-135m", temperature: 0.5, topP: 0.9, seed: 42, maxTokens: 7 });
    expect(asked?.requestId).toMatch(/^req_/);
    expect(first).toMatchObject({ temperature: 1, topP: 1, maxTokens: 512 });
    expect(Number.isSafeInteger(first?.seed)).toBe(true);
    expect(first?.seed).not.toBe(second?.seed);
  });

  test("says length when the replica ran into the maximum", async () => {
    const gateway = testGateway([...tokens([19556]), { type: "end", reason: "length" }]);
    const completion = await completionOf(await gateway.chat({ max_tokens: 1 }));
    expect(completion.choices[0]).toMatchObject({ finish_reason: "length", message: { content: "Hello" } });
  });

  test("ends before a stop string, counts the tokens up to it and cancels the replica", async () => {
    const script = (await saying("one two three four")).slice(0, -1);
    const gateway = testGateway([...script, "never"]);
    const completion = await completionOf(await gateway.chat({ stop: [" thr", "nothing"] }));
    expect(completion.choices[0]).toMatchObject({ finish_reason: "stop", message: { content: "one two" } });
    expect(completion.usage.completion_tokens).toBe(3);
    expect(gateway.replica.cancelled).toBe(1);
  });

  test("leaves special tokens out of the text, but counts them", async () => {
    const completion = await completionOf(await testGateway([...tokens([19556, 1, 17, 4]), end]).chat({}));
    expect(completion.choices[0]?.message.content).toBe(sharedTokenizer().decode([19556, 17]));
    expect(completion.usage.completion_tokens).toBe(4);
  });
});

describe("several choices", () => {
  const script = async ({ choice = 0 }: GenerateRequest): Promise<Script> => [
    { type: "start", cached: choice === 0 ? 16 : 30 },
    ...(await saying(["one", "two words", "now three words"][choice] as string)),
  ];

  test("come whole, in order, each drawn from a stream of its own", async () => {
    const scripts = await Promise.all([0, 1, 2].map((choice) => script({ choice } as GenerateRequest)));
    const gateway = testGateway(({ choice = 0 }) => scripts[choice] as Script);
    const completion = await completionOf(await gateway.chat({ n: 3, seed: 5 }));
    expect(completion.choices.map(({ index, message }) => [index, message.content])).toEqual([
      [0, "one"],
      [1, "two words"],
      [2, "now three words"],
    ]);
    expect(completion.usage).toMatchObject({ prompt_tokens: 31, completion_tokens: 6 });
    expect(completion.usage.prompt_tokens_details.cached_tokens).toBe(16);
    expect(gateway.replica.requests.map(({ seed, choice }) => [seed, choice])).toEqual([
      [5, 0],
      [5, 1],
      [5, 2],
    ]);
    expect(new Set(gateway.replica.requests.map(({ requestId }) => requestId)).size).toBe(3);
  });

  test("come as a stream, each with its role, its text and its end", async () => {
    const scripts = await Promise.all([0, 1, 2].map((choice) => script({ choice } as GenerateRequest)));
    const gateway = testGateway(({ choice = 0 }) => scripts[choice] as Script);
    const body = { n: 3, stream: true, stream_options: { include_usage: true } };
    const { chunks, events } = await readStream(await gateway.chat(body));
    for (const [index, text] of ["one", "two words", "now three words"].entries()) {
      const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
      expect(own[0]?.delta).toEqual({ role: "assistant", content: "" });
      expect(own.map(({ delta }) => delta.content ?? "").join("")).toBe(text);
      expect(own.filter(({ finish_reason }) => finish_reason !== null)).toHaveLength(1);
      expect(own.at(-1)?.finish_reason).toBe("stop");
    }
    expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 31, completion_tokens: 6 });
    expect(events.at(-1)).toBe("[DONE]");
  });

  test("end together when one fails", async () => {
    const gateway = testGateway(({ choice = 0 }) =>
      choice === 1 ? [{ type: "error", code: "not_finite", message: "broken" }] : ["never"],
    );
    const response = await gateway.chat({ n: 2 });
    expect(await errorOf(response)).toMatchObject({ code: "numerical_error" });
    expect(gateway.replica.cancelled).toBe(2);
  });
});

describe("logprobs", () => {
  const likely = (id: number, logprob: number, top: [number, number][] = [[id, logprob]]): Frame => ({
    type: "token",
    id,
    logprob,
    top,
  });

  test("name every token with its bytes and the likeliest, best first", async () => {
    const gateway = testGateway([
      likely(19556, -0.5, [
        [19556, -0.5],
        [17, -1.25],
      ]),
      likely(17, -2),
      end,
    ]);
    const completion = await completionOf(await gateway.chat({ logprobs: true, top_logprobs: 2 }));
    expect(gateway.replica.requests[0]).toMatchObject({ logprobs: 2 });
    const { content } = completion.choices[0]?.logprobs ?? {};
    expect(content?.map(({ token }) => token).join("")).toBe(completion.choices[0]?.message.content);
    expect(content?.[0]).toEqual({
      token: "Hello",
      logprob: -0.5,
      bytes: [72, 101, 108, 108, 111],
      top_logprobs: [
        { token: "Hello", logprob: -0.5, bytes: [72, 101, 108, 108, 111] },
        { token: sharedTokenizer().decode([17]), logprob: -1.25, bytes: expect.any(Array) },
      ],
    });
  });

  test("come with the text that their tokens end in, and stop with it", async () => {
    const ids = (await sharedTokenizer().encode("one two three four")).ids;
    const gateway = testGateway([...ids.map((id) => likely(id, -1)), "never"]);
    const body = { logprobs: true, stop: [" thr"], stream: true };
    const { chunks } = await readStream(await gateway.chat(body));
    const told = chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []);
    expect(told.map(({ token }) => token)).toEqual(["one", " two"]);
    const whole = await completionOf(await gateway.chat({ ...body, stream: false }));
    expect(whole.choices[0]?.logprobs?.content).toEqual(told);
  });

  test("are not told unless they are asked for", async () => {
    const gateway = testGateway(await saying("Hello"));
    expect((await completionOf(await gateway.chat({ logprobs: false }))).choices[0]?.logprobs).toBeNull();
    expect(gateway.replica.requests[0]?.logprobs).toBeUndefined();
  });
});

describe("system_fingerprint", () => {
  const fingerprint = async (model: string, digest: string) => {
    const replica = standIn([end], () => ({ ...ready, digest }));
    return (await completionOf(await testGateway(replica).chat({ model }))).system_fingerprint;
  };

  test("depends on the plan and the replica's digest, and on nothing else", async () => {
    const first = await fingerprint("smollm2-135m", "d1");
    expect(await fingerprint("smollm2-135m", "d1")).toBe(first);
    expect(await fingerprint("smollm2-135m", "d2")).not.toBe(first);
    expect(await fingerprint("smollm2-135m-attn-drop-5", "d1")).not.toBe(first);
  });

  test("is asked for again when the replica was still loading", async () => {
    let asked = 0;
    const replica = standIn([wait, ...tokens([19556]), end], () =>
      asked++ ? ready : { ...ready, state: "loading", digest: "" },
    );
    const completion = await completionOf(await testGateway(replica).chat({}));
    expect(completion.system_fingerprint).toBe(await fingerprint("smollm2-135m", ready.digest));
  });
});

describe("a stream", () => {
  test("begins with the role, ends with one finish reason and [DONE]", async () => {
    const response = await testGateway([wait, ...(await saying("Hello world")), wait]).chat({ stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
    const { events, chunks, comments } = await readStream(response);
    expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([
      { role: "assistant", content: "" },
      { content: "Hello" },
      { content: " world" },
      {},
    ]);
    expect(chunks.map(({ choices }) => choices[0]?.finish_reason)).toEqual([null, null, null, "stop"]);
    expect(events.filter((event) => event === "[DONE]")).toHaveLength(1);
    expect(events.at(-1)).toBe("[DONE]");
    expect(comments).toEqual([": waiting"]);
    expect(
      new Set(
        chunks.map(({ id, created, model, system_fingerprint }) => [id, created, model, system_fingerprint].join()),
      ).size,
    ).toBe(1);
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
  });

  test("carries the usage in a chunk of its own, only if asked", async () => {
    const gateway = testGateway(await saying("Hello world"));
    const { chunks, events } = await readStream(
      await gateway.chat({ stream: true, stream_options: { include_usage: true } }),
    );
    expect(chunks.at(-1)).toMatchObject({
      choices: [],
      usage: { prompt_tokens: 31, completion_tokens: 2, total_tokens: 33 },
    });
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(events.at(-1)).toBe("[DONE]");
  });

  test("of an empty reply has a role and a finish reason", async () => {
    const { chunks } = await readStream(await testGateway([end]).chat({ stream: true }));
    expect(chunks.map(({ choices }) => choices[0]?.delta)).toEqual([{ role: "assistant", content: "" }, {}]);
  });

  test("gives the text of the whole reply, in well-formed pieces, for any tokens and stop strings", {
    timeout: 30_000,
  }, async () => {
    let stopped = 0;
    let broken = 0;
    for (let seed = 1; seed <= 120; seed++) {
      let state = seed * 7919;
      const next = (below: number): number => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * below);
      };
      // Every second time mostly single bytes, so that characters are broken; special tokens among them.
      const ids = Array.from({ length: next(40) }, () => 3 + next(seed % 2 ? 49149 : 250));
      const text = sharedTokenizer().decode(ids.filter((id) => id > 16));
      const characters = [...text];
      const at = next(characters.length + 1);
      const stop = [characters.slice(at, at + 1 + next(3)).join("") || "zzz", "\uFFFD\uFFFD\uFFFD"];
      const frames: Frame[] = [...tokens(ids), { type: "end", reason: "length" }];
      const completion = await completionOf(await testGateway(frames).chat({ stop }));
      const streamed = await readStream(
        await testGateway(frames).chat({ stop, stream: true, stream_options: { include_usage: true } }),
      );
      const content = completion.choices[0]?.message.content ?? "";
      expect(streamed.content).toBe(content);
      expect(streamed.chunks.every(({ choices }) => choices[0]?.delta.content?.isWellFormed() ?? true)).toBe(true);
      const reasons = streamed.chunks.map(({ choices }) => choices[0]?.finish_reason).filter(Boolean);
      expect(reasons).toEqual([completion.choices[0]?.finish_reason]);
      expect(streamed.chunks.at(-1)?.usage).toEqual(completion.usage);
      for (const forbidden of stop) expect(content).not.toContain(forbidden);
      expect(text.startsWith(content)).toBe(true);
      if (reasons[0] === "stop") stopped++;
      else expect(content).toBe(text);
      if (text.includes("\uFFFD")) broken++;
    }
    expect(stopped).toBeGreaterThan(20);
    expect(broken).toBeGreaterThan(20);
  });

  test("that meets a stop string cancels the replica", async () => {
    const gateway = testGateway([...(await saying("a b c")).slice(0, -1), "never"]);
    const { content } = await readStream(await gateway.chat({ stream: true, stop: " c" }));
    expect(content).toBe("a b");
    await gateway.settled();
    expect(gateway.replica.cancelled).toBe(1);
  });

  test("that the client leaves cancels the replica", async () => {
    const gateway = testGateway([wait, ...tokens(Array.from({ length: 8000 }, () => 19556)), "never"]);
    const response = await gateway.chat({ stream: true });
    const reader = (response.body as ReadableStream).getReader();
    await reader.read();
    await reader.cancel();
    await gateway.settled();
    expect(gateway.replica.cancelled).toBe(1);
    expect(gateway.records[0]).toMatchObject({ status: 200, error: "client_gone" });
    expect(gateway.records[0]?.completionTokens).toBeLessThan(100);
  });

  test("that the client leaves while it waits cancels the replica with the next frame", async () => {
    const gateway = testGateway([wait, ...Array.from({ length: 20 }, () => [50, wait] as const).flat(), "never"]);
    const response = await gateway.chat({ stream: true });
    await (response.body as ReadableStream).cancel();
    const started = performance.now();
    await gateway.settled();
    expect(performance.now() - started).toBeLessThan(500);
    expect(gateway.replica.cancelled).toBe(1);
  });
});

describe("an error of the replica", () => {
  const error = (code: Extract<Frame, { type: "error" }>["code"]): Frame => ({ type: "error", code, message: "why" });
  test.each([
    ["deadline_exceeded", 504, "deadline_exceeded", "false"],
    ["overloaded", 503, "overloaded", "true"],
    ["out_of_memory", 503, "out_of_memory", "true"],
    ["too_large", 400, "model_too_large", "false"],
    ["context_overflow", 400, "context_length_exceeded", "false"],
    ["damaged_weights", 503, "model_damaged", "false"],
    ["not_finite", 500, "numerical_error", "false"],
    ["internal", 500, "internal_error", "false"],
  ] as const)("%s gets %i %s, streamed or not", async (code, status, shown, retry) => {
    for (const stream of [false, true]) {
      const response = await testGateway([error(code)]).chat({ stream });
      expect(response.status).toBe(status);
      expect(response.headers.get("x-should-retry")).toBe(retry);
      expect(response.headers.get("retry-after")).toBe(retry === "true" ? "1" : null);
      expect(await errorOf(response)).toMatchObject({ code: shown, message: "why", param: null });
    }
  });

  test("after the stream has begun comes as an event, and no [DONE]", async () => {
    const gateway = testGateway([...tokens([19556]), error("out_of_memory")]);
    const response = await gateway.chat({ stream: true });
    expect(response.status).toBe(200);
    const { events } = await readStream(response);
    expect(JSON.parse(events.at(-1) as string)).toEqual({
      error: { message: "why", type: "server_error", param: null, code: "out_of_memory" },
    });
    expect(events).not.toContain("[DONE]");
    await gateway.settled();
    expect(gateway.records[0]).toMatchObject({ error: "out_of_memory", status: 200 });
  });

  test("that breaks its stream off gets 503, and the log has the reason", async () => {
    const gateway = testGateway([wait, "break"]);
    const response = await gateway.chat({});
    expect(response.status).toBe(503);
    expect((await errorOf(response)).code).toBe("replica_unavailable");
    expect(gateway.failures).toHaveLength(1);
  });

  test("that cannot be called gets 503", async () => {
    const fails = () => Promise.reject(new Error("overloaded object"));
    const gateway = testGateway({ ...standIn([]), generate: fails, status: fails });
    const response = await gateway.chat({ stream: true });
    expect(response.status).toBe(503);
    expect(JSON.stringify(await errorOf(response))).not.toContain("overloaded object");
  });
});

describe("the deadline", () => {
  test("ends a whole reply of which there is nothing yet with 504 and cancels the replica", async () => {
    const gateway = testGateway([wait, "never"], { deadlineMs: 100 });
    const response = await gateway.chat({});
    expect(response.status).toBe(504);
    expect(response.headers.get("x-should-retry")).toBe("false");
    expect(await errorOf(response)).toMatchObject({ code: "deadline_exceeded", type: "server_error" });
    expect(gateway.replica.cancelled).toBe(1);
    expect(gateway.replica.requests[0]?.deadlineMs).toBeLessThanOrEqual(100);
  });

  test("ends a stream with an error event", async () => {
    const gateway = testGateway([...tokens([19556]), "never"], { deadlineMs: 100 });
    const { events, content } = await readStream(await gateway.chat({ stream: true }));
    expect(content).toBe("Hello");
    expect(JSON.parse(events.at(-1) as string).error.code).toBe("deadline_exceeded");
    expect(gateway.replica.cancelled).toBe(1);
  });

  test("before the first frame gets 504 even for a stream", async () => {
    const response = await testGateway(["never"], { deadlineMs: 50 }).chat({ stream: true });
    expect(response.status).toBe(504);
  });
});
