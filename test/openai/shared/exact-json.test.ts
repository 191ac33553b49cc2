// A request's JSON keeps what a schema needs of it: integers of any length, and the order of all names.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseBody, parseChatRequest, writeExactly } from "../../../src/openai/index.ts";
import { accepts } from "../../support/grammar.ts";

/** The chat request whose reply has to fit a schema, from the body's text on. */
async function asked(schema: string, strict = false) {
  const format = `{"type":"json_schema","json_schema":{"name":"n","strict":${strict},"schema":${schema}}}`;
  const body = `{"model":"m","messages":[{"role":"user","content":"Hi"}],"response_format":${format}}`;
  const { ask, format: read } = await parseChatRequest(await parseBody(body));
  if (!ask.grammar) throw new Error("there is no grammar");
  return { grammar: ask.grammar, instructions: read.instructions ?? "" };
}
const property = (value: string): string =>
  `{"type":"object","properties":{"v":${value}},"required":["v"],"additionalProperties":false}`;

describe("integers beyond 2^53", () => {
  it.each<[string, string[], string[]]>([
    ['{"const":12345678901234567890}', ["12345678901234567890"], ["12345678901234567000", "12345678901234567168"]],
    ['{"enum":[9007199254740993,-9007199254740995]}', ["9007199254740993", "-9007199254740995"], ["9007199254740992"]],
    [
      '{"type":"integer","minimum":9007199254740993,"maximum":9007199254740995}',
      ["9007199254740993", "9007199254740994", "9007199254740995"],
      ["9007199254740992", "9007199254740996"],
    ],
    [
      '{"type":"integer","minimum":-9223372036854775808,"exclusiveMaximum":-9223372036854775806}',
      ["-9223372036854775808", "-9223372036854775807"],
      ["-9223372036854775809", "-9223372036854775806"],
    ],
    ['{"type":"integer","minimum":1000000000000000}', ["1000000000000000", "9999999999999999"], ["999999999999999"]],
    ['{"type":"integer","multipleOf":10000000000000001,"minimum":1,"maximum":30000000000000001}', [], []],
  ])("%s", async (value, good, bad) => {
    const refused = value.includes("multipleOf");
    if (refused) return expect(asked(property(value))).rejects.toThrow("too large");
    for (const strict of [true, false]) {
      const { grammar } = await asked(property(value), strict && !value.startsWith('{"enum'));
      expect(good.filter((text) => accepts(grammar, `{"v":${text}}`))).toEqual(good);
      expect(bad.filter((text) => accepts(grammar, `{"v":${text}}`))).toEqual([]);
    }
  });

  it("stand in what the model is told as they stand in the body", async () => {
    const { instructions } = await asked(property('{"const":12345678901234567890}'));
    expect(instructions).toContain('"const":12345678901234567890');
  });
});

describe("names that are numbers", () => {
  it("come in the schema's order, and are told in it", async () => {
    const properties = '{"10":{"type":"null"},"b":{"type":"null"},"2":{"type":"null"}}';
    const schema = `{"type":"object","properties":${properties},"required":["10","b","2"],"additionalProperties":false}`;
    const { grammar, instructions } = await asked(schema, true);
    expect(accepts(grammar, '{"10":null,"b":null,"2":null}')).toBe(true);
    expect(accepts(grammar, '{"2":null,"10":null,"b":null}')).toBe(false);
    expect(instructions).toContain(properties);
  });
});

describe("parseBody", () => {
  it("reads any JSON as JSON.parse does, and writes it as JSON.stringify does", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.json({ maxDepth: 4 }),
        fc.constantFrom("", ' "1":2,', '"9":12345678901234567890,'),
        async (text, more) => {
          const body = `{ ${more} "x" : ${text}\n}`;
          const plain: unknown = JSON.parse(body.replace("12345678901234567890", "1"));
          const read = writeExactly(await parseBody(body));
          expect(JSON.parse(read.replace("12345678901234567890", "1"))).toEqual(plain);
          expect(read.includes("12345678901234567890")).toBe(body.includes("12345678901234567890"));
        },
      ),
      { numRuns: 500, seed: 5 },
    );
  });

  it.each([
    '{"1":"a\\"b\\\\"}',
    '{"\\u0031":[1,[],{}]}',
    ' {"0":{"1" :-1.5e3 , "a":null}} ',
    '{"__proto__":{"1":2}}',
  ])("%s", async (text) => expect(writeExactly(await parseBody(text))).toBe(JSON.stringify(JSON.parse(text))));

  it.each(['{"1":1', '{"1":}', '{"1":01}', "[1234567890123456789,]", '{"1":"\\x"}'])("throws for %s", async (text) => {
    await expect(parseBody(text)).rejects.toThrow(SyntaxError);
  });
});
