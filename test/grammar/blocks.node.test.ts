// Nobody's schema holds up the event loop: what was measured to, and a few hundred of many thousands that might.
import { describe, expect, it } from "vitest";
import { checkBlocks, longestBlock, longestBlocks } from "../support/blocks.ts";

const string = (pattern: string, rest: object = {}) => ({ type: "string", pattern, ...rest });
const chain = (count: number) => {
  const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => Math.sin(a) - Math.sin(b));
  const $defs = order.map((i) => [`d${i}`, i + 1 < count ? { $ref: `#/$defs/d${i + 1}` } : { const: 7 }]);
  return { type: "object", properties: { a: { $ref: "#/$defs/d0" } }, $defs: Object.fromEntries($defs) };
};

describe("the event loop gets its turn within 100 ms", () => {
  it.each<[string, object, boolean]>([
    ["two thousand million empty groups", string("^(){2000000000}$"), true],
    ["a thousand billion empty groups", string("^(){1000000000000000}$"), true],
    ["alternatives that are all empty, without end", string("^((|)(|)){1000000000}$"), false],
    ["nested repetitions", string("^(.{0,20}){0,20}$"), true],
    ["larger nested repetitions", string("^(.{0,50}){0,50}$"), true],
    ["repetitions in a row", string("^.{0,300}.{0,300}.{0,300}$"), true],
    ["5,000 definitions in a shuffled chain", chain(5000), true],
    ["9,000 definitions in a shuffled chain", chain(9000), true],
    ["a product of choices", { allOf: Array.from({ length: 9 }, (_, i) => choices(i)) }, false],
    ["a pattern of five thousand groups", string(`${"(".repeat(4000)}a${")".repeat(4000)}`), false],
  ])("%s", (_, schema, isFine) => {
    const { refusal } = longestBlocks(schema);
    if (isFine) expect(refusal?.message).toBeUndefined();
    else expect(refusal?.message).toMatch(/^#/);
    expect(longestBlock(schema)).toBeLessThan(100);
  });

  it("whatever the schema", () => checkBlocks(200, 17));
});

const choices = (i: number) => ({
  anyOf: Array.from({ length: 9 }, (_, j) => ({ properties: { [`x${i}${j}`]: {} }, required: [`x${i}${j}`] })),
});
