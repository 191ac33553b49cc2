import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ApiError,
  createResponseWriter,
  newResponse,
  parseResponseRequest,
  type ResponseObject,
  type ServerEvent,
} from "../../../src/openai/index.ts";
import { sharedTokenizer } from "../../routes/gateway.ts";

const valid = {
  model: "smollm2-135m",
  input: [
    { role: "user", content: [{ type: "input_text", text: "Hi" }] },
    { type: "function_call", call_id: "c", name: "add", arguments: "{}" },
    { type: "function_call_output", call_id: "c", output: "1" },
  ],
  instructions: "Be brief.",
  text: {
    format: { type: "json_schema", name: "a", schema: { type: "object", properties: { a: { type: "number" } } } },
  },
  tools: [{ type: "function", name: "add", parameters: { type: "object", properties: { a: { type: "number" } } } }],
  tool_choice: { type: "allowed_tools", mode: "auto", tools: [{ type: "function", name: "add" }] },
  include: ["message.output_text.logprobs"],
  top_logprobs: 2,
  temperature: 1,
  metadata: { a: "b" },
  reasoning: { effort: null },
  budget: { latency_ms: 100 },
};

interface Told {
  type: string;
  sequence_number: number;
  output_index: number;
  item: { type: string; id: string; status: string };
  item_id: string;
  delta: string;
  text: string;
  arguments: string;
  response: ResponseObject;
}

/** All events of a reply whose text comes in these pieces. */
async function tell(pieces: readonly string[], mayCall: boolean, finishReason: "stop" | "length") {
  let ids = 0;
  const newId = () => `${ids++}`;
  const request = await parseResponseRequest({ model: "m", input: "Hi" }, newId);
  const response = newResponse({ id: "r", createdAt: 1, model: "m", status: "in_progress" }, request.echo(false));
  const writer = createResponseWriter({
    response,
    mayCall,
    newId,
    tellsLogprobs: false,
    now: () => 2000,
    answer: {
      tokenizer: sharedTokenizer(),
      downshifts: [],
      usage: () => ({ promptTokens: 1, cachedTokens: 0, completionTokens: 1 }),
    },
  });
  const events: ServerEvent[] = [
    ...writer.begin(),
    ...pieces.flatMap((text) => writer.write({ type: "text", text, tokens: [] })),
    ...writer.write({ type: "end", finishReason }),
  ];
  const final = writer.finish();
  return { events: [...events, ...writer.end()].map(({ data }) => data as unknown as Told), final };
}

const call = fc.record({ text: fc.string({ unit: "grapheme" }), brace: fc.constantFrom("{", "}", '"', "\\", "[]") });
const replies = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.constantFrom("<tool", "<tool_call", "<tool_calls>", "<<tool_call>"),
  fc.array(call, { minLength: 1, maxLength: 3 }).map((calls) => {
    const list = calls.map(
      ({ text, brace }, i) => `{"name": "t${i}", "arguments": ${JSON.stringify({ text, brace, o: {} })}}`,
    );
    return `<tool_call>[${list.join(", ")}]</tool_call>`;
  }),
);

describe("the events of a response", () => {
  test("add up to the response, however its text is cut into pieces", async () => {
    await fc.assert(
      fc.asyncProperty(
        replies,
        fc.array(fc.nat(60), { maxLength: 8 }),
        fc.boolean(),
        fc.boolean(),
        async (text, at, mayCall, cut) => {
          const places = [0, ...at.map((place) => Math.min(place, text.length)).sort((a, b) => a - b), text.length];
          const pieces = places
            .slice(1)
            .map((end, i) => text.slice(places[i], end))
            .filter((piece) => piece);
          const { events, final } = await tell(pieces, mayCall, cut ? "length" : "stop");
          const { final: whole } = await tell(text ? [text] : [], mayCall, cut ? "length" : "stop");
          expect(final).toEqual(whole);
          expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
          expect(events.slice(0, 2).map(({ type }) => type)).toEqual(["response.created", "response.in_progress"]);
          expect(events.at(-1)?.type).toBe(cut ? "response.incomplete" : "response.completed");
          expect(events.at(-1)?.response).toEqual(final);
          expect(events[0]?.response.output).toEqual([]);
          final.output.forEach((item, index) => {
            const own = events.filter((event) => event.output_index === index);
            const first = own[0];
            const last = own.at(-1);
            expect(first).toMatchObject({
              type: "response.output_item.added",
              item: { id: item.id, status: "in_progress" },
            });
            expect(last).toMatchObject({ type: "response.output_item.done", item });
            const said = own
              .filter(({ type }) => type.endsWith(".delta"))
              .map(({ delta }) => delta)
              .join("");
            const content =
              item.type === "message"
                ? item.content.map((part) => ("text" in part ? part.text : "")).join("")
                : item.arguments;
            expect(said).toBe(content);
            const done = own.find(
              ({ type }) => type === "response.output_text.done" || type.endsWith("arguments.done"),
            );
            expect(done?.text ?? done?.arguments).toBe(content);
          });
          const ends = events.filter(({ type }) => /completed|incomplete/.test(type));
          expect(ends).toHaveLength(1);
        },
      ),
      { numRuns: 500 },
    );
  }, 60_000);
});

describe("a request for a response", () => {
  test("is valid, or refused with an error that says where, whatever stands in its place", async () => {
    const paths = (value: unknown, path: string[] = []): string[][] => [
      path,
      ...(typeof value === "object" && value !== null
        ? Object.entries(value).flatMap(([key, inner]) => paths(inner, [...path, key]))
        : []),
    ];
    const all = paths(valid).slice(1);
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...all), fc.jsonValue(), fc.boolean(), async (path, value, remove) => {
        const body = structuredClone(valid) as unknown as Record<string, unknown>;
        const parent = path.slice(0, -1).reduce((inner, key) => inner[key] as Record<string, unknown>, body);
        const last = path.at(-1) as string;
        if (remove) delete parent[last];
        else parent[last] = value;
        try {
          const request = await parseResponseRequest(body, () => "1");
          request.echo(true);
          request.ask(request.items);
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
          expect((error as ApiError).param).toBeTruthy();
        }
      }),
      { numRuns: 500 },
    );
  }, 60_000);
});
