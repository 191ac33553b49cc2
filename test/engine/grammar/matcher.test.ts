import { describe, expect, it } from "vitest";
import { buildTree, createMatcher, GrammarError, readTree, writeTree } from "../../../src/engine/grammar/index.ts";
import { createRecognizer, NOWHERE } from "../../../src/engine/grammar/recognizer.ts";
import { compileGrammar, type Grammar } from "../../../src/grammar/index.ts";
import { END_ID, grammarOf, randomNumbers, strictObject, TOKENS, VOCABULARY } from "../../support/grammar.ts";

const idsOf = (mask: Int32Array): number[] =>
  Array.from({ length: END_ID + 1 }, (_, id) => id).filter((id) => ((mask[id >> 5] as number) >>> (id & 31)) & 1);

/** Token ids that fit after the first `taken` of `ids`, found out one token at a time. */
function oneByOne(grammar: Grammar, ids: readonly number[]): number[] {
  const { start, step, isComplete } = createRecognizer(grammar);
  const after = (from: number, id: number): number =>
    (TOKENS[id] as Uint8Array).reduce((at, byte) => (at === NOWHERE ? at : step(at, byte)), from);
  const at = ids.reduce(after, start);
  const fitting = [...TOKENS.keys()].filter((id) => after(at, id) !== NOWHERE);
  return isComplete(at) ? [...fitting, END_ID] : fitting;
}

const matcherOf = (grammar: Grammar) => createMatcher({ grammar, vocabulary: VOCABULARY, endIds: [END_ID] });
const write = (matcher: ReturnType<typeof matcherOf>, text: string): void => {
  for (const byte of new TextEncoder().encode(text)) matcher.accept(byte);
};

describe("mask", () => {
  it.each([
    ["json_object", compileGrammar({ type: "json_object" })],
    [
      "strings of a bounded length",
      grammarOf({ type: "array", items: { type: "string", minLength: 1, maxLength: 6 } }),
    ],
    ["a pattern", grammarOf({ type: "string", pattern: "^([a-z ]|[à-ü]{2})+[0-9.]{0,4}$" })],
    ["numbers", grammarOf({ type: "array", items: { type: "number", minimum: -2.5, maximum: 1999 } })],
    [
      "text or calls",
      compileGrammar({ type: "tool_calls", tools: [{ name: "the" }], otherwise: { type: "text" }, several: true }),
    ],
  ])("has the tokens that fit, one by one, and no other: %s", (_name, grammar) => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = randomNumbers(seed);
      const matcher = matcherOf(grammar);
      const ids: number[] = [];
      for (let i = 0; i < 25 && !matcher.over; i++) {
        const allowed = idsOf(matcher.mask());
        expect(allowed).toEqual(oneByOne(grammar, ids));
        const going = allowed.filter((id) => id !== END_ID);
        const id = going[Math.floor(random() * going.length)];
        if (id === undefined) break;
        matcher.accept(id);
        ids.push(id);
      }
    }
  });

  it("allows end tokens only where the text may end, and is over where nothing else may come", () => {
    const matcher = matcherOf(grammarOf({ type: "integer" }));
    expect(idsOf(matcher.mask())).not.toContain(END_ID);
    write(matcher, "12");
    expect(idsOf(matcher.mask())).toContain(END_ID);
    expect(matcher).toMatchObject({ complete: true, over: false });
    const object = matcherOf(grammarOf(strictObject({})));
    write(object, "{}");
    expect(idsOf(object.mask())).toEqual([END_ID]);
    expect(object).toMatchObject({ complete: true, over: true });
  });

  it("stays right when a long text makes it forget what it knew", () => {
    const grammar = grammarOf({ type: "array", items: { type: "string", pattern: "^.{0,3000}$" } });
    const matcher = matcherOf(grammar);
    write(matcher, '["');
    for (let i = 0; i < 3000; i++) {
      matcher.accept("x".charCodeAt(0));
      if (i % 100 === 0) matcher.mask();
    }
    expect(idsOf(matcher.mask())).toEqual(idsOf(matcher.mask()).filter((id) => TOKENS[id]?.[0] === 0x22));
    write(matcher, '", "y"]');
    expect(matcher.over).toBe(true);
  });
});

describe("accept", () => {
  it("refuses a token that does not fit, and one that is no text", () => {
    const matcher = matcherOf(grammarOf({ type: "boolean" }));
    expect(() => matcher.accept("x".charCodeAt(0))).toThrow(GrammarError);
    expect(() => matcher.accept(END_ID)).toThrow(GrammarError);
    expect(() => matcher.accept(-1)).toThrow(GrammarError);
    write(matcher, "true");
    expect(matcher.over).toBe(true);
  });
});

describe("what cannot be followed", () => {
  it("no token of the vocabulary fits", () => {
    const vocabulary = buildTree([Uint8Array.of(0x22), Uint8Array.of(0x61)]);
    const matcher = createMatcher({ grammar: grammarOf({ type: "string", pattern: "^ab$" }), vocabulary, endIds: [] });
    matcher.accept(0);
    matcher.accept(1);
    expect(() => matcher.mask()).toThrow("no token of the vocabulary fits");
  });

  it("patterns with too many readings end with an error, not with a stall", () => {
    // Any of two thousand places may be the one that the first letter stands at.
    const matcher = matcherOf(grammarOf({ type: "string", pattern: "^(a?b?){2000}$" }));
    expect(() => {
      write(matcher, '"a');
      matcher.mask();
    }).toThrow(GrammarError);
  });
});

describe("vocabulary tree", () => {
  it("comes back from its file as it was", () => {
    const back = readTree(writeTree(VOCABULARY));
    expect(back).toEqual(VOCABULARY);
  });

  it("counts the first of tokens with the same bytes, and leaves out those without", () => {
    const a = Uint8Array.of(0x61);
    const { ids, size } = buildTree([undefined, a, a, new Uint8Array()]);
    expect([...ids]).toEqual([1]);
    expect(size).toBe(4);
  });
});
