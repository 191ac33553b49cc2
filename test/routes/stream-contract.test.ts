// What every stream keeps to, for any tokens, stop strings, tools and cuts, and wherever the replica fails or the client leaves: one end, the
// usage of what was sent, and the text and calls of the whole reply.
import fc from "fast-check";
import { expect, test } from "vitest";
import { chatChunkSchema, chatCompletionSchema } from "../../src/openai/index.ts";
import type { Frame } from "../../src/replica/protocol.ts";
import { type Script, type StandIn, sharedTokenizer, standIn, testGateway, tokens, wait } from "./gateway.ts";

/** Some 200 requests each. */
const TIMEOUT_MS = 60_000;
const ENDS = ["stop", "length", "error", "break"] as const;

interface Case {
  /** By choice. */
  readonly ids: readonly (readonly number[])[];
  readonly stop: readonly string[];
  readonly tools: boolean;
  readonly ending: (typeof ENDS)[number];
  /** Bytes of each piece in which the replica's stream comes, over and over. */
  readonly cuts: readonly number[];
}

const calls = fc
  .array(
    fc.dictionary(fc.string(), fc.jsonValue()).map((value) => `{"name": "f", "arguments": ${JSON.stringify(value)}}`),
    { minLength: 1, maxLength: 2 },
  )
  .map((list) => `<tool_call>[${list.join(", ")}]</tool_call>`);
/** Any tokens; mostly single bytes, so that characters are broken; texts that are calls or nearly. */
const said = fc.oneof(
  fc.record({ ids: fc.array(fc.integer({ min: 3, max: 49151 }), { maxLength: 25 }) }),
  fc.record({ ids: fc.array(fc.integer({ min: 3, max: 252 }), { maxLength: 25 }) }),
  fc.record({ text: calls }),
  fc.record({ text: fc.tuple(fc.nat(11), fc.string()).map(([length, rest]) => `<tool_call>`.slice(0, length) + rest) }),
);
const idsOf = async (own: { ids?: number[]; text?: string }): Promise<number[]> =>
  own.ids ?? (await sharedTokenizer().encode(own.text ?? "")).ids;

const recipes = fc.record({
  said: fc.array(said, { minLength: 1, maxLength: 3 }),
  /** Stop strings that the first choice has: where each begins, and how long it is. */
  pieces: fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 4 })), { maxLength: 3 }),
  others: fc.array(fc.string({ minLength: 1, maxLength: 3 }), { maxLength: 1 }),
  tools: fc.boolean(),
  ending: fc.constantFrom(...ENDS),
  cuts: fc.array(fc.integer({ min: 1, max: 90 }), { minLength: 1, maxLength: 4 }),
});

async function caseOf({
  said,
  pieces,
  others,
  ...rest
}: typeof recipes extends fc.Arbitrary<infer T> ? T : never): Promise<Case> {
  const ids = await Promise.all(said.map(idsOf));
  const characters = [...textOf(ids[0] as number[])];
  const found = pieces.map(([at, length]) => characters.slice(at, at + length).join(""));
  return { ...rest, ids, stop: [...found, ...others].filter((text) => text !== "") };
}

function textOf(ids: readonly number[]): string {
  const decoding = sharedTokenizer().createDecoding();
  return ids.map((id) => decoding.push(id)).join("") + decoding.end();
}

/** A stand-in whose stream comes in pieces of other sizes. */
function replicaOf({ ids, ending, cuts }: Case): StandIn {
  const last: Script =
    ending === "break"
      ? ["break"]
      : [ending === "error" ? { type: "error", code: "internal", message: "why" } : { type: "end", reason: ending }];
  const inner = standIn(({ choice = 0 }): Script => {
    const frames: Frame[] = tokens(ids[choice] as number[]);
    return [wait, ...frames, ...last];
  });
  const { generate: play } = inner;
  const generate: StandIn["generate"] = async (request) => {
    const source = (await play(request)).getReader();
    let held = new Uint8Array();
    let turn = 0;
    return new ReadableStream<Uint8Array>(
      {
        async pull(controller) {
          const size = cuts[turn++ % cuts.length] as number;
          while (held.length < size) {
            const { value, done } = await source.read();
            if (done) {
              if (held.length > 0) controller.enqueue(held);
              return controller.close();
            }
            held = Uint8Array.from([...held, ...value]);
          }
          controller.enqueue(held.slice(0, size));
          held = held.slice(size);
        },
        cancel: () => source.cancel(),
      },
      { highWaterMark: 0 },
    );
  };
  return Object.assign(inner, { generate });
}

const bodyOf = ({ ids, stop, tools }: Case) => ({
  n: ids.length,
  stop,
  seed: 1,
  ...(tools ? { tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }] } : {}),
});
const gatewayOf = (given: Case) => {
  let id = 0;
  return testGateway(replicaOf(given), { now: () => 1_700_000_000_000, newId: () => `id${id++}` });
};
const streamed = { stream: true, stream_options: { include_usage: true } };
const eventsOf = (text: string): string[] =>
  text.split("\n\n").flatMap((block) => (block.startsWith("data: ") ? [block.slice(6)] : []));

/** Tokens up to the one with which a stop string is complete, all when none is. */
function sentOf(ids: readonly number[], { stop, tools }: Case): number {
  const decoding = sharedTokenizer().createDecoding();
  let text = "";
  for (const [i, id] of ids.entries()) {
    text += decoding.push(id);
    const isCalls = tools && (text.startsWith("<tool_call>") || "<tool_call>".startsWith(text));
    if (!isCalls && stop.some((piece) => text.includes(piece))) return i + 1;
  }
  return ids.length;
}

test("a stream is the whole reply in pieces, with one end and the usage of what was sent", {
  timeout: TIMEOUT_MS,
}, async () => {
  const seen = { stopped: 0, called: 0, failed: 0, long: 0 };
  await fc.assert(
    fc.asyncProperty(recipes, async (recipe) => {
      const given = await caseOf(recipe);
      const whole = await gatewayOf(given).chat(bodyOf(given));
      // A whole reply that failed half-way has a body that breaks off.
      const told = whole.status === 200 ? await whole.text().catch(() => undefined) : undefined;
      const response = await gatewayOf(given).chat({ ...bodyOf(given), ...streamed });
      const sent = given.ids.map((ids) => sentOf(ids, given));
      const isCut = given.ids.map((ids, i) => (sent[i] as number) < ids.length);
      if (response.status !== 200) {
        // It failed before its first token.
        expect([given.ending, whole.status]).toEqual([expect.stringMatching(/error|break/), response.status]);
        return;
      }
      const events = eventsOf(await response.text());
      if (told === undefined) {
        seen.failed++;
        expect(events.filter((event) => event.startsWith('{"error"'))).toEqual([events.at(-1)]);
        expect(events).not.toContain("[DONE]");
        return;
      }
      expect(events.indexOf("[DONE]")).toBe(events.length - 1);
      const chunks = events.slice(0, -1).map((event) => chatChunkSchema.parse(JSON.parse(event)));
      const completion = chatCompletionSchema.parse(JSON.parse(told));
      expect(chunks.at(-1)).toMatchObject({ choices: [], usage: completion.usage });
      if (given.ending === "stop" || given.ending === "length") {
        expect(completion.usage.completion_tokens).toBe(sent.reduce((sum, count) => sum + count, 0));
      }
      for (const { index, message, finish_reason: reason } of completion.choices) {
        const own = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index));
        expect(own.map(({ finish_reason }) => finish_reason)).toEqual([...own.slice(1).map(() => null), reason]);
        expect(own[0]?.delta.role).toBe("assistant");
        const text = own.map(({ delta }) => delta.content ?? "").join("");
        expect(text).toBe(message.content ?? "");
        for (const stop of given.stop) expect(text).not.toContain(stop);
        const deltas = own.flatMap(({ delta }) => delta.tool_calls ?? []);
        const told = (message.tool_calls ?? []).map((call, at) => {
          const pieces = deltas.filter((delta) => delta.index === at);
          expect(pieces[0]).toMatchObject({ type: "function", function: { name: call.function.name, arguments: "" } });
          return pieces.map((piece) => piece.function.arguments).join("");
        });
        expect(told).toEqual((message.tool_calls ?? []).map((call) => call.function.arguments));
        if (told.length > 0) seen.called++;
        if (isCut[index]) seen.stopped++;
        if (reason === "length") seen.long++;
      }
    }),
    { numRuns: 150 },
  );
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(5);
});

test("a stream that the client leaves ends with what came so far, and stops the replica", {
  timeout: TIMEOUT_MS,
}, async () => {
  let left = 0;
  await fc.assert(
    fc.asyncProperty(recipes, fc.nat(40), async (recipe, reads) => {
      const { ids, ...rest } = await caseOf(recipe);
      const given = { ...rest, ids: ids.slice(0, 1) };
      const full = await gatewayOf(given).chat({ ...bodyOf(given), ...streamed });
      if (full.status !== 200) return;
      const expected = await full.text();
      const gateway = gatewayOf(given);
      const response = await gateway.chat({ ...bodyOf(given), ...streamed });
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      let text = "";
      let ended = false;
      for (let i = 0; i < reads && !ended; i++) {
        const { value, done } = await reader.read();
        ended = done;
        text += decoder.decode(value, { stream: true });
      }
      await reader.cancel();
      await gateway.settled();
      expect(expected.startsWith(text)).toBe(true);
      expect(gateway.records).toHaveLength(1);
      expect(gateway.records[0]?.completionTokens).toBeLessThanOrEqual(given.ids[0]?.length as number);
      if (gateway.records[0]?.error !== "client_gone") return;
      left++;
      expect(gateway.replica.cancelled).toBeLessThanOrEqual(1);
      expect(ended).toBe(false);
    }),
    { numRuns: 100 },
  );
  expect(left).toBeGreaterThan(5);
});
