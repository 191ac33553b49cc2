import { beforeAll, describe, expect, test } from "vitest";
import { type ResponseObject, responseSchema } from "../../src/openai/index.ts";
import {
  createResponseStore,
  type ResponseJob,
  type ResponseKeeping,
  type ResponseStore,
} from "../../src/responses/index.ts";
import { migratedDatabase } from "../support/database.ts";
import { end, errorOf, openLine, type Script, saying, sharedTokenizer, testGateway, tokens, wait } from "./gateway.ts";

interface Kept extends ResponseKeeping {
  readonly jobs: Map<string, ResponseJob>;
  readonly cancelled: string[];
}

let db: D1Database;
beforeAll(async () => {
  db = await migratedDatabase();
});

/** Real storage, and an object for background responses that only notes what it is asked. */
function keeping(overrides: Partial<ResponseStore> = {}, now: () => number = Date.now): Kept {
  const jobs = new Map<string, ResponseJob>();
  const cancelled: string[] = [];
  return {
    store: { ...createResponseStore({ db, keepMs: 1_000_000, now }), ...overrides },
    jobs,
    cancelled,
    lineOf: () => openLine,
    runnerOf: (id) => ({
      start: async (job) => void jobs.set(id, job),
      cancel: async () => void cancelled.push(id),
      resume: async () => {},
    }),
  };
}

const gatewayWith = (script: Script = [end], responses: ResponseKeeping | undefined = keeping()) => {
  const gateway = testGateway(script, { responses });
  const post = (path: string, body: object = {}, key = "sk-test-one") =>
    gateway.fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify(body),
    });
  return {
    ...gateway,
    post,
    create: (body: object = {}, key?: string) =>
      post("/v1/responses", { model: "smollm2-135m", input: "Hi", ...body }, key),
    get: (path: string, key = "sk-test-one") => gateway.fetch(path, { headers: { authorization: `Bearer ${key}` } }),
  };
};

const responseOf = async (response: Response): Promise<ResponseObject> => {
  const body = await response.json();
  expect(response.status, JSON.stringify(body)).toBe(200);
  return responseSchema.strict().parse(body);
};
const textOf = ({ output }: ResponseObject): string =>
  output
    .flatMap((item) => (item.type === "message" ? item.content.map((part) => ("text" in part ? part.text : "")) : []))
    .join("");

interface StreamEvent {
  readonly type: string;
  readonly sequence_number: number;
  readonly response?: ResponseObject;
  readonly [field: string]: unknown;
}
async function eventsOf(response: Response): Promise<StreamEvent[]> {
  expect(response.status).toBe(200);
  const blocks = (await response.text()).split("\n\n").filter((block) => block && !block.startsWith(":"));
  const events = blocks.map((block) => {
    const [, name, data] = /^event: (.+)\ndata: (.+)$/.exec(block) ?? [];
    const event = JSON.parse(data ?? "") as StreamEvent;
    expect(event.type).toBe(name);
    return event;
  });
  expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
  return events;
}
/** What the model was given to read. */
const promptOf = (gateway: { replica: { requests: { promptIds: readonly number[] }[] } }, index = 0): string =>
  sharedTokenizer().decode(gateway.replica.requests[index]?.promptIds ?? []);

describe("a whole response", () => {
  test("has OpenAI's shape", async () => {
    const gateway = gatewayWith(await saying("Rome."));
    const response = await responseOf(await gateway.create({ metadata: { a: "b" }, temperature: 0.5 }));
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_[0-9a-f]{32}$/),
      object: "response",
      status: "completed",
      model: "smollm2-135m",
      output: [
        {
          type: "message",
          id: expect.stringMatching(/^msg_/),
          role: "assistant",
          status: "completed",
          content: [{ type: "output_text", text: "Rome.", annotations: [], logprobs: [] }],
        },
      ],
      error: null,
      incomplete_details: null,
      usage: {
        input_tokens: 31,
        input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
        output_tokens: 2,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 33,
      },
      metadata: { a: "b" },
      temperature: 0.5,
      store: true,
      tools: [],
      tool_choice: "auto",
      text: { format: { type: "text" } },
    });
    expect(gateway.replica.requests[0]).toMatchObject({ temperature: 0.5, topP: 1, maxTokens: 512 });
  });

  test("is incomplete when it ran into max_output_tokens", async () => {
    const gateway = gatewayWith([...tokens([19556]), { type: "end", reason: "length" }]);
    const response = await responseOf(await gateway.create({ max_output_tokens: 1 }));
    expect(response).toMatchObject({
      status: "incomplete",
      incomplete_details: { reason: "max_output_tokens" },
      completed_at: null,
      output: [{ status: "incomplete" }],
    });
  });

  test("tells log-probabilities when include asks for them, and does not keep them", async () => {
    const likely = { id: 19556, logprob: -0.25, top: [[19556, -0.25] as [number, number]] };
    const gateway = gatewayWith([{ type: "token", ...likely }, end]);
    const include = ["message.output_text.logprobs"];
    const response = await responseOf(await gateway.create({ include, top_logprobs: 1 }));
    const token = { token: "Hello", logprob: -0.25, bytes: [72, 101, 108, 108, 111] };
    expect(response.output[0]).toMatchObject({ content: [{ logprobs: [{ ...token, top_logprobs: [token] }] }] });
    expect(gateway.replica.requests[0]?.logprobs).toBe(1);
    const kept = await responseOf(await gateway.get(`/v1/responses/${response.id}`));
    expect(kept.output[0]).toMatchObject({ content: [{ text: "Hello", logprobs: [] }] });
  });

  test("reads instructions, messages, parts, calls and their outputs", async () => {
    const gateway = gatewayWith();
    await gateway.create({
      instructions: "Be brief.",
      input: [
        { role: "developer", content: "Be kind." },
        {
          role: "user",
          content: [
            { type: "input_text", text: "One." },
            { type: "input_text", text: "Two." },
          ],
        },
        {
          type: "message",
          id: "msg_1",
          status: "completed",
          role: "assistant",
          content: [{ type: "output_text", text: "Three.", annotations: [] }],
        },
        { type: "function_call", id: "fc_1", call_id: "call_1", name: "add", arguments: '{"a":1}' },
        { type: "function_call_output", call_id: "call_1", output: "2" },
      ],
    });
    expect(promptOf(gateway)).toBe(
      '<|im_start|>system\nBe brief.\n\nBe kind.<|im_end|>\n<|im_start|>user\nOne.\nTwo.<|im_end|>\n<|im_start|>assistant\nThree.<tool_call>[{"name": "add", "arguments": {"a":1}}]</tool_call><|im_end|>\n<|im_start|>tool\n<tool_response>{"name": "add", "content": 2}</tool_response><|im_end|>\n<|im_start|>assistant\n',
    );
  });
});

describe("a streamed response", () => {
  test("tells its steps in order and ends as the whole one", async () => {
    const gateway = gatewayWith([wait, ...(await saying("one two"))]);
    const events = await eventsOf(await gateway.create({ stream: true }));
    expect(events.map(({ type }) => type.replace("response.", ""))).toEqual([
      "created",
      "in_progress",
      "output_item.added",
      "content_part.added",
      "output_text.delta",
      "output_text.delta",
      "output_text.done",
      "content_part.done",
      "output_item.done",
      "completed",
    ]);
    expect(events[0]?.response).toMatchObject({ status: "in_progress", output: [] });
    expect(events[2]?.item).toMatchObject({ status: "in_progress", content: [] });
    const deltas = events.filter(({ type }) => type === "response.output_text.delta");
    expect(deltas.map(({ delta }) => delta)).toEqual(["one", " two"]);
    expect(deltas.map(({ logprobs }) => logprobs)).toEqual([[], []]);
    const last = events.at(-1)?.response as ResponseObject;
    expect(textOf(last)).toBe("one two");
    // It can be gone on from as soon as the client has its end.
    expect(await responseOf(await gateway.get(`/v1/responses/${last.id}`))).toEqual(last);
  });

  test("tells an error in mid-stream as a flat event, and ends", async () => {
    const failure = { type: "error", code: "not_finite", message: "no number" } as const;
    for (const script of [
      [...tokens([19556]), failure],
      [wait, failure],
    ] as Script[]) {
      const events = await eventsOf(await gatewayWith(script).create({ stream: true }));
      expect(events[0]?.type).toBe("response.created");
      expect(events.at(-1)).toEqual({
        type: "error",
        code: "numerical_error",
        message: "no number",
        param: null,
        sequence_number: events.length - 1,
      });
    }
  });

  test("is incomplete in its last event", async () => {
    const gateway = gatewayWith([...tokens([19556]), { type: "end", reason: "length" }]);
    const events = await eventsOf(await gateway.create({ stream: true, max_output_tokens: 1 }));
    expect(events.at(-1)).toMatchObject({ type: "response.incomplete", response: { status: "incomplete" } });
  });
});

describe("calls of tools", () => {
  const tools = [
    {
      type: "function",
      name: "add",
      description: "Adds.",
      parameters: { type: "object", properties: { a: { type: "number" } } },
    },
  ];
  const called =
    '<tool_call>[{"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": {"a": 22}}]</tool_call>';

  test("come as items", async () => {
    const gateway = gatewayWith(await saying(called));
    const response = await responseOf(await gateway.create({ tools }));
    expect(response.output).toMatchObject([
      { type: "function_call", name: "add", arguments: '{"a": 1}', status: "completed" },
      { type: "function_call", name: "add", arguments: '{"a": 22}', status: "completed" },
    ]);
    expect(gateway.replica.requests[0]?.grammar).toBeDefined();
    expect(promptOf(gateway)).toContain('<tools>[{"type":"function","function":{"name":"add","description":"Adds."');
    const ids = response.output.map((item) => (item.type === "function_call" ? item.call_id : ""));
    expect(new Set(ids).size).toBe(2);
    const output = ids.map((call_id) => ({ type: "function_call_output", call_id, output: "3" }));
    expect(
      (await errorOf(await gateway.create({ previous_response_id: response.id, input: output.slice(1) }))).message,
    ).toContain(ids[0]);
    await responseOf(await gateway.create({ previous_response_id: response.id, input: output, tools }));
    expect(promptOf(gateway, 1)).toContain(
      '<|im_start|>assistant\n<tool_call>[{"name": "add", "arguments": {"a": 1}}, {"name": "add", "arguments": {"a": 22}}]</tool_call><|im_end|>\n<|im_start|>tool\n<tool_response>{"name": "add", "content": 3}</tool_response>',
    );
  });

  test("that were cut short are not gone on from", async () => {
    const script = (await saying(called)).slice(0, 20) as Script;
    const gateway = gatewayWith([...script, { type: "end", reason: "length" }]);
    const cut = await responseOf(await gateway.create({ tools }));
    expect(cut.output).toMatchObject([{ type: "function_call", status: "incomplete" }]);
    await responseOf(await gateway.create({ previous_response_id: cut.id }));
    expect(promptOf(gateway, 1)).not.toContain("<tool_call>");
  });

  test("stream with the name where they end", async () => {
    const events = await eventsOf(await gatewayWith(await saying(called)).create({ tools, stream: true }));
    expect(
      events.filter(({ type }) => !type.endsWith("delta")).map(({ type }) => type.replace("response.", "")),
    ).toEqual([
      ...["created", "in_progress"],
      ...["output_item.added", "function_call_arguments.done", "output_item.done"],
      ...["output_item.added", "function_call_arguments.done", "output_item.done"],
      "completed",
    ]);
    expect(events.filter(({ type }) => type === "response.function_call_arguments.done")).toMatchObject([
      { name: "add", arguments: '{"a": 1}', output_index: 0 },
      { name: "add", arguments: '{"a": 22}', output_index: 1 },
    ]);
    const deltas = events.filter(({ type, output_index }) => type.endsWith("arguments.delta") && output_index === 1);
    expect(deltas.map(({ delta }) => delta).join("")).toBe('{"a": 22}');
  });
});

describe("a stored response", () => {
  test("is gone on from with what it was given and what it said, without its instructions", async () => {
    const gateway = gatewayWith(await saying("Rome."));
    const first = await responseOf(await gateway.create({ instructions: "Shout.", input: "Italy?" }));
    const second = await responseOf(await gateway.create({ previous_response_id: first.id, input: "France?" }));
    expect(second.previous_response_id).toBe(first.id);
    // The first is not needed any more.
    expect((await gateway.fetch(`/v1/responses/${first.id}`, { method: "DELETE" })).status).toBe(200);
    await responseOf(await gateway.create({ previous_response_id: second.id, input: "Spain?" }));
    const turn = (user: string) => `<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n`;
    expect(promptOf(gateway, 2)).toContain(
      `${turn("Italy?")}Rome.<|im_end|>\n${turn("France?")}Rome.<|im_end|>\n${turn("Spain?")}`,
    );
    expect(promptOf(gateway, 2)).not.toContain("Shout.");
  });

  test("lists its input items, a page at a time", async () => {
    const gateway = gatewayWith();
    const input = ["a", "b", "c"].map((content) => ({ role: "user", content }));
    const { id } = await responseOf(await gateway.create({ input }));
    interface Page {
      data: { id: string; content: { text: string }[] }[];
      has_more: boolean;
      last_id: string;
    }
    const page = async (query: string): Promise<[string, Page]> => {
      const list = (await (await gateway.get(`/v1/responses/${id}/input_items?${query}`)).json()) as Page;
      return [list.data.map(({ content }) => content[0]?.text).join(""), list];
    };
    expect((await page(""))[0]).toBe("cba");
    const [text, first] = await page("order=asc&limit=2");
    expect([text, first.has_more]).toEqual(["ab", true]);
    const [rest, last] = await page(`order=asc&limit=2&after=${first.last_id}`);
    expect([rest, last.has_more]).toEqual(["c", false]);
    for (const [query, param] of [
      ["limit=0", "limit"],
      ["limit=x", "limit"],
      ["order=up", "order"],
      ["after=x", "after"],
    ] as const) {
      const response = await gateway.get(`/v1/responses/${id}/input_items?${query}`);
      expect(response.status).toBe(400);
      expect((await errorOf(response)).param).toBe(param);
    }
  });

  test("is another key's nothing, and nobody's once it has expired, is deleted or was not to be stored", async () => {
    let now = Date.now();
    const gateway = gatewayWith(
      [end],
      keeping({}, () => now),
    );
    const { id } = await responseOf(await gateway.create());
    const attempts = (key?: string) => [
      () => gateway.get(`/v1/responses/${id}`, key),
      () => gateway.get(`/v1/responses/${id}/input_items`, key),
      () => gateway.post(`/v1/responses/${id}/cancel`, {}, key),
      () =>
        gateway.fetch(`/v1/responses/${id}`, {
          method: "DELETE",
          headers: { authorization: `Bearer ${key ?? "sk-test-one"}` },
        }),
    ];
    const allMissing = async (key?: string) => {
      for (const attempt of attempts(key)) {
        const response = await attempt();
        expect(response.status).toBe(404);
        expect((await errorOf(response)).code).toBe("response_not_found");
      }
      const next = await gateway.create({ previous_response_id: id }, key);
      expect(next.status).toBe(400);
      expect(await errorOf(next)).toMatchObject({ code: "previous_response_not_found", param: "previous_response_id" });
    };
    await allMissing("sk-test-two");
    now += 1_000_001;
    await allMissing();
    now -= 1_000_001;
    expect(await (await gateway.fetch(`/v1/responses/${id}`, { method: "DELETE" })).json()).toEqual({
      id,
      object: "response",
      deleted: true,
    });
    await allMissing();
    const unkept = await responseOf(await gateway.create({ store: false }));
    expect(unkept.store).toBe(false);
    expect((await gateway.get(`/v1/responses/${unkept.id}`)).status).toBe(404);
  });

  test("is swept away after it has expired", async () => {
    let now = Date.now();
    const kept = keeping({}, () => now);
    const gateway = gatewayWith([end], kept);
    const { id } = await responseOf(await gateway.create());
    const rows = () => db.prepare("SELECT count(*) AS rows FROM responses WHERE id = ?").bind(id).first("rows");
    await kept.store.sweep();
    expect(await rows()).toBe(1);
    now += 1_000_000;
    await kept.store.sweep();
    expect(await rows()).toBe(0);
  });

  test("is answered though it could not be kept, and says so", async () => {
    const broken = createResponseStore({
      db: {
        prepare: () => {
          throw new Error("away");
        },
      } as unknown as D1Database,
      keepMs: 1,
      now: Date.now,
    });
    const gateway = gatewayWith(await saying("Rome."), keeping(broken));
    const response = await responseOf(await gateway.create());
    expect([textOf(response), response.store]).toEqual(["Rome.", false]);
    expect(gateway.failures).toHaveLength(1);
    const read = await gateway.get(`/v1/responses/${response.id}`);
    expect([read.status, (await errorOf(read)).code]).toEqual([503, "storage_unavailable"]);
    expect(read.headers.get("x-should-retry")).toBe("true");
  });
});

describe("without a database", () => {
  const gateway = () => {
    const made = testGateway([end]);
    return {
      ...made,
      create: (body: object) =>
        made.fetch("/v1/responses", {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ model: "smollm2-135m", input: "Hi", ...body }),
        }),
    };
  };
  test("responses are not stored, and what needs it is refused by name", async () => {
    const { create, fetch } = gateway();
    const response = await responseOf(await create({}));
    expect(response.store).toBe(false);
    expect((await fetch(`/v1/responses/${response.id}`)).status).toBe(404);
    for (const [param, value] of [
      ["store", true],
      ["background", true],
      ["previous_response_id", "resp_1"],
    ] as const) {
      const refused = await create({ [param]: value });
      expect(refused.status).toBe(400);
      expect(await errorOf(refused)).toMatchObject({ code: "unsupported_parameter", param });
    }
  });
});

describe("a background response", () => {
  test("is queued at once, with all that its object needs to make it", async () => {
    const kept = keeping();
    const gateway = gatewayWith(await saying("Rome."), kept);
    const earlier = await responseOf(await gateway.create({ input: "First" }));
    const response = await responseOf(
      await gateway.create({ background: true, previous_response_id: earlier.id, max_output_tokens: 9, unknown: "x" }),
    );
    expect(response).toMatchObject({ status: "queued", background: true, output: [], usage: null });
    expect(gateway.replica.requests).toHaveLength(1);
    const job = structuredClone(kept.jobs.get(response.id)) as ResponseJob;
    const body: unknown = JSON.parse(job.body);
    expect(body).toMatchObject({ max_output_tokens: 9 });
    expect(job).toMatchObject({
      conversation: [{ role: "user" }, { role: "assistant" }, { role: "user" }],
    });
    expect(body).not.toHaveProperty("unknown");
    expect(await responseOf(await gateway.get(`/v1/responses/${response.id}`))).toEqual(response);
    const early = await gateway.create({ previous_response_id: response.id });
    expect([early.status, (await errorOf(early)).param]).toEqual([400, "previous_response_id"]);
  });

  test("is cancelled once, and a response that is not in the background never", async () => {
    const kept = keeping();
    const gateway = gatewayWith([end], kept);
    const { id } = await responseOf(await gateway.create({ background: true }));
    for (let i = 0; i < 2; i++) {
      expect((await responseOf(await gateway.post(`/v1/responses/${id}/cancel`))).status).toBe("cancelled");
    }
    expect(kept.cancelled).toEqual([id]);
    expect((await responseOf(await gateway.get(`/v1/responses/${id}`))).status).toBe("cancelled");
    const whole = await responseOf(await gateway.create());
    expect((await gateway.post(`/v1/responses/${whole.id}/cancel`)).status).toBe(400);
  });

  test("is cancelled when it is deleted", async () => {
    const kept = keeping();
    const gateway = gatewayWith([end], kept);
    const { id } = await responseOf(await gateway.create({ background: true }));
    await gateway.fetch(`/v1/responses/${id}`, { method: "DELETE" });
    expect(kept.cancelled).toEqual([id]);
  });

  test("is refused at once for what a client can mend, and not run at a client's word", async () => {
    const kept = keeping();
    const gateway = gatewayWith([end], kept);
    const long = "word ".repeat(20_000);
    for (const [body, code] of [
      [{ model: "gpt-4" }, "model_not_found"],
      [{ input: long }, "context_length_exceeded"],
      [{ store: false }, "invalid_value"],
      [{ stream: true }, "unsupported_parameter"],
      [{ include: ["message.output_text.logprobs"] }, "unsupported_parameter"],
    ] as const) {
      expect((await errorOf(await gateway.create({ background: true, ...body }))).code).toBe(code);
    }
    expect(kept.jobs.size).toBe(0);
    const full = { ...kept, lineOf: () => ({ ...openLine, join: async () => false }) };
    const response = await gatewayWith([end], full).create({ background: true });
    expect([response.status, response.headers.get("retry-after")]).toEqual([429, "60"]);
    expect(await errorOf(response)).toMatchObject({ code: "rate_limit_exceeded", param: "background" });
    expect(kept.jobs.size).toBe(0);
    expect((await gateway.post("/internal/responses", { job: {} })).status).toBe(404);
  });
});

describe("truncation", () => {
  const turn = (text: string) => ({ role: "user", content: text });
  const input = [turn("oldest ".repeat(5_000)), turn("older ".repeat(5_000)), turn("newest")];

  test("auto drops the oldest items, and the response is kept without them", async () => {
    const gateway = gatewayWith();
    const response = await responseOf(await gateway.create({ input, truncation: "auto", instructions: "Stay." }));
    const prompt = promptOf(gateway);
    expect([
      prompt.includes("oldest"),
      prompt.includes("older"),
      prompt.includes("newest"),
      prompt.includes("Stay."),
    ]).toEqual([false, true, true, true]);
    const { data } = (await (await gateway.get(`/v1/responses/${response.id}/input_items`)).json()) as {
      data: unknown[];
    };
    expect(data).toHaveLength(2);
  });

  test("auto keeps calls and their outputs together", async () => {
    const gateway = gatewayWith();
    const call = (call_id: string, json = "{}") => ({ type: "function_call", call_id, name: "add", arguments: json });
    const output = (call_id: string) => ({ type: "function_call_output", call_id, output: "1" });
    const calls = [call("a", `"${"long ".repeat(10_000)}"`), call("b"), output("a"), output("b")];
    const { id } = await responseOf(await gateway.create({ input: [...calls, turn("newest")], truncation: "auto" }));
    expect(promptOf(gateway)).not.toContain("<tool_response>");
    await responseOf(await gateway.create({ previous_response_id: id }));
  });

  test("is off unless asked for, and cannot help where one item is too long", async () => {
    const gateway = gatewayWith();
    for (const body of [{ input }, { input: "word ".repeat(20_000), truncation: "auto" }]) {
      const response = await gateway.create(body);
      expect(response.status).toBe(400);
      expect(await errorOf(response)).toMatchObject({ code: "context_length_exceeded", param: "input" });
    }
  });
});

describe("a response too large to keep", () => {
  const tools = Array.from({ length: 100 }, (_, i) => ({
    type: "function",
    name: `f${i}`,
    parameters: { type: "object" },
    description: "word ".repeat(2000),
  }));
  const ask = { tools, tool_choice: "none" };

  test("is answered where its request did not ask for it to be kept", async () => {
    const gateway = gatewayWith(await saying("Rome."));
    const reply = await gateway.create(ask);
    expect(reply.headers.get("x-franken-warning")).toMatch(/^not stored: request and conversation are \d+ bytes/);
    const response = await responseOf(reply);
    expect(response.store).toBe(false);
    expect(textOf(response)).toBe("Rome.");
    expect((await gateway.get(`/v1/responses/${response.id}`)).status).toBe(404);
  });

  test.each(["store", "background"])("is refused where it asks for '%s'", async (param) => {
    const gateway = gatewayWith(await saying("Rome."));
    const response = await gateway.create({ ...ask, [param]: true });
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code: "invalid_value", param });
    expect(gateway.replica.requests).toEqual([]);
  });
});

describe("a request that is wrong", () => {
  test.each([
    [{ input: undefined }, "missing_required_parameter", "input"],
    [{ input: [] }, "invalid_value", "input"],
    [{ input: [{ type: "item_reference", id: "msg_1" }] }, "invalid_value", "input.0.type"],
    [{ input: [{ type: "reasoning", id: "rs_1", summary: [] }] }, "invalid_value", "input"],
    [
      { input: [{ role: "user", content: [{ type: "input_image", image_url: "x" }] }] },
      "invalid_value",
      "input.0.content.0.type",
    ],
    [{ input: [{ type: "function_call", call_id: "c", name: 5, arguments: "" }] }, "invalid_type", "input.0.name"],
    [{ input: [{ type: "function_call_output", call_id: "c", output: "" }] }, "invalid_value", "input"],
    [{ tools: [{ type: "web_search" }], tool_choice: "required" }, "invalid_value", "tool_choice"],
    [{ tools: [{ type: "web_search" }], tool_choice: { type: "web_search" } }, "invalid_value", "tool_choice.type"],
    [
      {
        tools: [
          { type: "function", name: "a" },
          { type: "function", name: "a" },
        ],
      },
      "invalid_value",
      "tools.1.name",
    ],
    [{ tool_choice: { type: "file_search" } }, "invalid_value", "tool_choice.type"],
    [{ tool_choice: { type: "function", name: "a" } }, "invalid_value", "tool_choice"],
    [{ text: { format: { type: "grammar" } } }, "invalid_value", "text.format.type"],
    [
      { text: { format: { type: "json_schema", name: "a", strict: true, schema: { type: "object" } } } },
      "invalid_json_schema",
      "text.format.schema",
    ],
    [{ reasoning: "high" }, "invalid_type", "reasoning"],
    [{ conversation: "conv_1" }, "unsupported_parameter", "conversation"],
    [{ prompt: { id: "pmpt_1" } }, "unsupported_parameter", "prompt"],
    [{ messages: [] }, "unsupported_parameter", "messages"],
    [{ response_format: { type: "text" } }, "unsupported_parameter", "response_format"],
    [{ max_tokens: 5 }, "unsupported_parameter", "max_tokens"],
    [{ include: ["everything"] }, "invalid_value", "include.0"],
    [{ top_logprobs: 2 }, "invalid_value", "top_logprobs"],
    [{ max_output_tokens: 0 }, "invalid_value", "max_output_tokens"],
    [{ metadata: { a: 5 } }, "invalid_type", "metadata.a"],
    [{ budget: { latency_ms: -1 } }, "invalid_value", "budget.latency_ms"],
    [{ previous_response_id: "resp_none" }, "previous_response_not_found", "previous_response_id"],
  ])("%j is %s of %s", async (body, code, param) => {
    const gateway = gatewayWith();
    const response = await gateway.create(body);
    expect(response.status).toBe(400);
    expect(await errorOf(response)).toMatchObject({ code, param });
    expect(gateway.replica.requests).toHaveLength(0);
  });

  test("fields that ask for nothing pass", async () => {
    await responseOf(
      await gatewayWith().create({
        conversation: null,
        reasoning: { effort: null },
        text: { verbosity: "medium" },
        include: ["reasoning.encrypted_content"],
        stream_options: null,
        service_tier: "auto",
        prompt_cache_key: "k",
        safety_identifier: "s",
        user: "u",
        tools: [],
      }),
    );
  });
});
