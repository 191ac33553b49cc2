import { describe, expect, test } from "vitest";
import { errorEnvelopeSchema } from "../../src/openai/index.ts";
import type { Frame } from "../../src/replica/protocol.ts";
import { end, type Script, saying, testGateway, wait } from "./gateway.ts";

const begun = async (): Promise<Frame[]> => (await saying("Hello there")).filter((frame) => frame !== end) as Frame[];
const failed = (code: Extract<Frame, { type: "error" }>["code"]): Frame => ({ type: "error", code, message: "why" });

/** The events and comments of a stream, one a block. */
async function blocksOf(script: Script, deadlineMs = 10_000): Promise<string[]> {
  const gateway = testGateway(script, { deadlineMs });
  const response = await gateway.chat({ stream: true });
  expect(response.status).toBe(200);
  const text = await response.text();
  expect(text.endsWith("\n\n")).toBe(true);
  await gateway.settled();
  return text.slice(0, -2).split("\n\n");
}

describe("a stream that cannot go on tells one error, as its last event and without [DONE], when", () => {
  const cases: [string, Script, string, number?][] = [
    ["the replica is damaged", [failed("damaged_weights")], "model_damaged"],
    ["the replica computes no numbers", [failed("not_finite")], "numerical_error"],
    ["the replica has no memory left", [failed("out_of_memory")], "out_of_memory"],
    ["the replica is too late", [failed("deadline_exceeded")], "deadline_exceeded"],
    ["the replica fails", [failed("internal")], "internal_error"],
    ["the replica is gone", ["break"], "replica_unavailable"],
    ["the replica says nothing any more", ["never"], "deadline_exceeded", 200],
    ["the replica only says that it waits", [wait, 100, wait, 100, wait, 100, wait, "never"], "deadline_exceeded", 250],
  ];
  test.each(cases)("%s", async (_name, rest, code, deadlineMs) => {
    const blocks = await blocksOf([...(await begun()), ...rest], deadlineMs);
    const events = blocks.filter((block) => !block.startsWith(":"));
    const errors = events.filter((block) => block.includes('"error"'));
    expect(errors).toEqual([blocks.at(-1)]);
    expect(errors[0]).toMatch(/^data: \{"error":\{[^\n]*$/);
    expect(errorEnvelopeSchema.parse(JSON.parse(errors[0]?.slice(6) ?? "")).error.code).toBe(code);
    expect(events.join()).not.toContain("[DONE]");
    expect(events.join()).toContain("Hello");
  });
});

test("a stream whose next token is long in coming is kept alive by comments, which are no events", async () => {
  const [first, ...others] = await begun();
  const blocks = await blocksOf([first as Frame, wait, 20, wait, 20, wait, ...others, end]);
  expect(blocks.filter((block) => block === ": waiting")).toHaveLength(3);
  expect(blocks.at(-1)).toBe("data: [DONE]");
});
