import { describe, expect, it } from "vitest";
import { createShadows } from "../../src/tokenizer/shadows.ts";
import { comparisons, stringFunctions } from "../../src/tokenizer/strings.ts";

const SPECIALS = ["</think>", "<think>", "\u{1f44d}!", "stop", "[INST]"];
/** What Python 3.11 gives: the string, the method, its arguments, and what comes of it. */
const CALLS: readonly (readonly [string, string, readonly unknown[], unknown])[] = [
  ["  a</think>b  c</think>\n", "split", ["</think>"], ["  a", "b  c", "\n"]],
  ["  a</think>b  c</think>\n", "split", ["</think>", 1], ["  a", "b  c</think>\n"]],
  ["  a</think>b  c</think>\n", "rsplit", ["</think>", 1], ["  a</think>b  c", "\n"]],
  ["  a</think>b  c</think>\n", "rsplit", ["</think>"], ["  a", "b  c", "\n"]],
  ["  a</think>b  c</think>\n", "split", [], ["a</think>b", "c</think>"]],
  ["  a</think>b  c</think>\n", "split", [null, 1], ["a</think>b", "c</think>\n"]],
  ["  a</think>b  c</think>\n", "rsplit", [null, 1], ["  a</think>b", "c</think>"]],
  ["  a</think>b  c</think>\n", "split", ["\n"], ["  a</think>b  c</think>", ""]],
  ["", "split", [null], []],
  ["  a</think>b  c</think>\n", "split", ["a", 0], ["  a</think>b  c</think>\n"]],
  ["  a</think>b  c</think>\n", "strip", [], "a</think>b  c</think>"],
  ["  a</think>b  c</think>\n", "lstrip", [], "a</think>b  c</think>\n"],
  ["  a</think>b  c</think>\n", "rstrip", [], "  a</think>b  c</think>"],
  ["  a</think>b  c</think>\n", "strip", [" \n>"], "a</think>b  c</think"],
  ["  a</think>b  c</think>\n", "lstrip", [" a<"], "/think>b  c</think>\n"],
  ["  a</think>b  c</think>\n", "rstrip", ["\n>knih<t/"], "  a</think>b  c"],
  [" x ", "strip", [""], " x "],
  ["\ud83d\udc4da\ud83d\udc4ea\ud83d\udc4d", "strip", ["\ud83d\udc4da"], "\ud83d\udc4e"],
  ["\u00a0\u001c\u0085x\ufeff\u2003", "strip", [], "x\ufeff"],
  ["  a</think>b  c</think>\n", "startswith", ["  a<"], true],
  ["  a</think>b  c</think>\n", "endswith", ["</think>\n"], true],
  ["  a</think>b  c</think>\n", "startswith", ["b"], false],
  ["  a</think>b  c</think>\n", "removeprefix", ["  a</think>"], "b  c</think>\n"],
  ["  a</think>b  c</think>\n", "removesuffix", [">\n"], "  a</think>b  c</think"],
  ["  a</think>b  c</think>\n", "removeprefix", ["x"], "  a</think>b  c</think>\n"],
  ["  a</think>b  c</think>\n", "removesuffix", [""], "  a</think>b  c</think>\n"],
  ["  a</think>b  c</think>\n", "partition", ["</think>"], ["  a", "</think>", "b  c</think>\n"]],
  ["  a</think>b  c</think>\n", "rpartition", ["</think>"], ["  a</think>b  c", "</think>", "\n"]],
  ["  a</think>b  c</think>\n", "partition", ["zz"], ["  a</think>b  c</think>\n", "", ""]],
  ["  a</think>b  c</think>\n", "rpartition", ["zz"], ["", "", "  a</think>b  c</think>\n"]],
  ["  a</think>b  c</think>\n", "find", ["<"], 3],
  ["  a</think>b  c</think>\n", "rfind", ["<"], 15],
  ["  a</think>b  c</think>\n", "find", ["zz"], -1],
  ["\ud83d\udc4d\ud83d\udc4db", "find", ["b"], 2],
  ["  a</think>b  c</think>\n", "count", ["think"], 2],
  ["aaaaa", "count", ["aa"], 2],
  ["aaaaa", "rsplit", ["aa"], ["a", "", ""]],
  ["aaaaa", "rsplit", ["aa", 1], ["aaa", ""]],
  ["  a</think>b  c</think>\n", "replace", ["</think>", "</t>"], "  a</t>b  c</t>\n"],
  ["  a</think>b  c</think>\n", "replace", ["</think>", "", 1], "  ab  c</think>\n"],
  ["  a</think>b  c</think>\n", "replace", ["think>", "<"], "  a</<b  c</<\n"],
  ["  a</think>b  c</think>\n", "splitlines", [], ["  a</think>b  c</think>"]],
  ["a\r\nb\n\nc\u000bd", "splitlines", [], ["a", "b", "", "c", "d"]],
  ["", "splitlines", [], []],
];

describe("a string that hides the beginnings of special tokens", () => {
  it.each(CALLS)("%j.%s(%j) is Python's, and hides them still", (text, method, args, expected) => {
    const { hide, show } = createShadows(SPECIALS, [text]);
    const call = stringFunctions(show)[method]!;
    const shown = (value: unknown): unknown =>
      typeof value === "string" ? show(value) : Array.isArray(value) ? value.map(shown) : value;
    for (const own of [text, hide(text)]) {
      expect(shown(call(own, ...args))).toEqual(expected);
      // Arguments may come out of messages, too.
      expect(shown(call(own, ...args.map((arg) => (typeof arg === "string" ? hide(arg) : arg))))).toEqual(expected);
    }
    // What comes from the template's words alone may stay a token.
    if (method !== "replace") expect(JSON.stringify(call(hide(text), ...args)) ?? "").not.toMatch(/<\/?think>/);
  });

  it("is as long, in characters and in units, and never a special token, even where parts of it are joined", () => {
    const text = "<think>👍!stop sto</think>[INST] [ < 👍\ue000\u{f0000}";
    const { hide, show } = createShadows(SPECIALS, [text]);
    const hidden = hide(text);
    expect(show(hidden)).toBe(text);
    expect([hidden.length, [...hidden].length]).toEqual([text.length, [...text].length]);
    for (const special of SPECIALS) expect(hidden).not.toContain(special);
    expect(hidden.replaceAll("x", "")).not.toMatch(/[<[]/);
    expect(show(hidden.slice(0, 9))).toBe(text.slice(0, 9));
  });

  it("cannot be told where a text has all private-use characters", () => {
    const all = Array.from({ length: 0xf8ff - 0xe000 + 1 }, (_, i) => String.fromCodePoint(0xe000 + i)).join("");
    expect(() => createShadows(SPECIALS, [all])).toThrow("every private-use character");
    expect(() => createShadows(SPECIALS, [all.slice(1, -2)])).not.toThrow();
  });

  it("compares as what it stands for", () => {
    const { hide, show } = createShadows(SPECIALS, []);
    const { "==": equals, "!=": differs, in: isIn, "not in": isNotIn } = comparisons(show);
    const hidden = hide("a</think>b");
    const list = [{ value: 1 }, { value: hidden }];
    expect(equals!(hidden, "a</think>b")).toBe(true);
    expect(differs!(hidden, "a</think>b")).toBe(false);
    expect(isIn!("</think>", hidden)).toBe(true);
    expect(isNotIn!("<think>", hidden)).toBe(true);
    expect(isIn!("a</think>b", list)).toBe(true);
    expect(isIn!("x", undefined)).toBe(false);
    expect(isIn!("x", new Map([["x", 1]]))).toBe(true);
    expect([
      equals!("1", 1),
      equals!(true, 1),
      equals!(null, undefined),
      equals!([{ value: "a" }], [{ value: "a" }]),
    ]).toEqual([...[false, true, false, true]]);
    expect(() => isIn!("x", null)).toThrow("'in' needs");
  });
});
