import { describe, expect, it } from "vitest";
import { chatAgreement, chatAnswers, mostRepeated } from "../../evaluation/tasks/chats.ts";
import { createTaskTools } from "../../evaluation/tools.ts";
import { createTokenizer } from "../../src/tokenizer/index.ts";
import { tinyConfig } from "../support/base.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

const tokenizer = createTokenizer(tokenizerJson);
const tools = createTaskTools(tokenizer, { ...tinyConfig, vocab: 49_152 });
const [END = -1] = tools.endIds;
const line = (document: object): string => `${JSON.stringify(document)}\n`;
const chat = { user: "Say <|im_end|> twice.", answer: "No.", ended: true };

describe("the chats' agreement", () => {
  it("is over the answer's tokens after the template's prompt, and its end where the base ended it", async () => {
    const items = await chatAgreement.load(line(chat) + line({ ...chat, ended: false }), tools);
    const [ended, open] = await Promise.all(items.map(async (prepare) => (await prepare()).requests[0]));
    if (ended?.type !== "divergence" || open?.type !== "divergence") throw new Error("no divergence");
    const prompt = await tokenizer.encodeChat([{ role: "user", content: chat.user }]);
    expect(ended.context).toEqual(prompt.ids);
    expect(tokenizer.decode(ended.context)).toMatch(/<\|im_start\|>user\n.*<\|im_end\|>\n<\|im_start\|>assistant\n$/s);
    // What the user spells is text: three turns, three beginnings.
    expect(ended.context.filter((id) => id === 1)).toHaveLength(3);
    expect(open.reply).toEqual(await tools.encode("No."));
    expect(ended.reply).toEqual([...open.reply, END]);
  });

  it("weighs each token alike, in 64 chats", async () => {
    const items = await chatAgreement.load(line(chat).repeat(70), tools);
    expect(items).toHaveLength(64);
    const item = await items[0]!();
    const answer = { type: "divergence", tokens: 4, agreements: 3, kl: 0.5 } as const;
    expect(item.read([answer])).toEqual({ tokens: 4, agreements: 3, kl: 0.5 });
  });
});

describe("the chats' answers", () => {
  const read = async (ids: readonly number[], place = 0) => {
    const items = await chatAnswers.load(line(chat).repeat(250), tools);
    expect(items).toHaveLength(200);
    const item = await items[place]!();
    expect(item.requests).toEqual([
      { type: "greedy", context: await tools.encodeChat(chat.user), maxTokens: 400, stopIds: tools.endIds },
    ]);
    return item.read([{ type: "greedy", ids }]);
  };

  it("end where the model ends its turn, and the first twenty can be read", async () => {
    const ids = await tools.encode("Yes, and so on");
    expect(await read([...ids, END])).toEqual({
      ended: 1,
      repeated: 0,
      tokens: ids.length + 1,
      answer: "Yes, and so on",
    });
    expect(await read(ids, 19)).toMatchObject({ ended: 0, answer: "Yes, and so on" });
    expect(await read(ids, 20)).toMatchObject({ ended: 0, answer: "" });
  });

  it("repeat themselves where four tokens in a row come more than six times", async () => {
    const six = Array.from({ length: 6 }, () => [50, 51, 52, 53, 60]).flat();
    expect(await read(six)).toMatchObject({ repeated: 0 });
    expect(await read([...six, 50, 51, 52, END])).toMatchObject({ repeated: 0 });
    expect(await read([...six, 50, 51, 52, 53, END])).toMatchObject({ repeated: 1 });
  });

  it.each([
    [[], 0],
    [[1, 2, 3], 0],
    [[1, 1, 1, 1, 1], 2],
    [[1, 23, 4, 5, 12, 3, 4, 5], 1],
  ])("%j: the most frequent comes %i times", (ids, count) => expect(mostRepeated(ids)).toBe(count));
});
