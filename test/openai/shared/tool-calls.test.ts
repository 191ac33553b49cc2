// Replies that may be calls, read in pieces: however the text is cut, it comes out the same.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createReplyReader, type ReplyPiece, readReply } from "../../../src/openai/shared/tool-calls.ts";

/** The pieces of a text that comes cut at these places. */
function read(text: string, cuts: readonly number[], mayCall = true): ReplyPiece[] {
  const reader = createReplyReader(mayCall);
  const places = [0, ...[...cuts].sort((a, b) => a - b), text.length];
  const pieces = places.slice(1).flatMap((to, i) => reader.push(text.slice(places[i], to), []));
  return [...pieces, ...reader.end()];
}
const contentOf = (pieces: readonly ReplyPiece[]): string =>
  pieces.map((piece) => (piece.type === "content" ? piece.text : "")).join("");

const cuts = (text: string) => fc.array(fc.nat(text.length), { maxLength: 12 });
const calls = fc.array(
  fc.record({
    name: fc.stringMatching(/^[a-zA-Z0-9_-]{1,8}$/),
    arguments: fc.dictionary(fc.string(), fc.jsonValue()).map((value) => JSON.stringify(value)),
  }),
  { minLength: 1, maxLength: 3 },
);
const written = (list: readonly { name: string; arguments: string }[], space: string): string =>
  `<tool_call>[${list
    .map((call) => `{"name":${space}"${call.name}",${space}"arguments":${space}${call.arguments}}`)
    .join(`,${space}`)}]</tool_call>`;

describe("calls", () => {
  it("come as they are written, however they are cut", () => {
    fc.assert(
      fc.property(
        calls.chain((list) => {
          const text = written(list, list.length % 2 ? " " : "");
          return fc.tuple(fc.constant(list), fc.constant(text), cuts(text));
        }),
        ([list, text, at]) => {
          const pieces = read(text, at);
          expect(contentOf(pieces)).toBe("");
          list.forEach((call, index) => {
            const own = pieces.filter((piece) => piece.type !== "content" && piece.index === index);
            expect(own[0]).toEqual({ type: "call", index, name: call.name });
            expect(own.slice(1).every((piece) => piece.type === "arguments" && piece.text !== "")).toBe(true);
            expect(own.map((piece) => (piece.type === "arguments" ? piece.text : "")).join("")).toBe(call.arguments);
          });
          expect(pieces.filter(({ type }) => type === "call")).toHaveLength(list.length);
          expect(readReply(true, text, [])).toEqual({ content: null, tokens: [], calls: list });
        },
      ),
      { numRuns: 300 },
    );
  });

  it("that end early are as far as they came", () => {
    const text = '<tool_call>[{"name": "f", "arguments": {"a": "b}"';
    expect(readReply(true, text, [])).toMatchObject({ content: null, calls: [{ name: "f", arguments: '{"a": "b}"' }] });
    expect(readReply(true, '<tool_call>[{"na', [])).toMatchObject({ content: null, calls: [] });
  });

  it("are told at once: an argument's text does not wait for the next", () => {
    const reader = createReplyReader(true);
    expect(reader.push('<tool_call>[{"name": "f", "arguments": {"city": "Ro', [])).toEqual([
      { type: "call", index: 0, name: "f" },
      { type: "arguments", index: 0, text: '{"city": "Ro' },
    ]);
  });
});

describe("text", () => {
  it("comes out whole, and begins as a call may", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.tuple(fc.nat(10), fc.string()).map(([length, rest]) => `${"<tool_call>".slice(0, length)}${rest}`),
    );
    fc.assert(
      fc.property(
        text.filter((own) => !own.startsWith("<tool_call>")).chain((own) => fc.tuple(fc.constant(own), cuts(own))),
        ([own, at]) => {
          const pieces = read(own, at);
          expect(pieces.every(({ type }) => type === "content")).toBe(true);
          expect(contentOf(pieces)).toBe(own);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("keeps its tokens", () => {
    const reader = createReplyReader(true);
    expect(reader.push("<tool", [{ id: 1 }])).toEqual([]);
    expect(reader.push("box", [{ id: 2 }])).toEqual([
      { type: "content", text: "<toolbox", tokens: [{ id: 1 }, { id: 2 }] },
    ]);
    expect(reader.push("", [{ id: 3 }])).toEqual([{ type: "content", text: "", tokens: [{ id: 3 }] }]);
  });

  it("that looks like calls stays text where there are none to be made", () => {
    const text = '<tool_call>[{"name": "f", "arguments": {}}]</tool_call>';
    expect(contentOf(read(text, [4, 20], false))).toBe(text);
    expect(readReply(false, text, [])).toEqual({ content: text, tokens: [], calls: [] });
  });
});
