import { expect, it } from "vitest";
import { readPrompts } from "../../src/serving/prompts.ts";
import { sharedTokenizer } from "../support/stand-in.ts";

const turn = (content: string) => ({ role: "user", content }) as const;
const reply = { maxTokens: 10, maxTokensParam: "max_output_tokens" };
const items = Array.from({ length: 9 }, (_, i) => turn(`${i} `.repeat(20)));
const conversation = {
  ...({ kind: "conversation", name: "input", ...reply, cuts: items.map((_, i) => i) } as const),
  messagesAfter: (cut: number) => items.slice(cut),
};

it("a conversation loses its oldest items until prompt and reply fit", async () => {
  const tokenizer = sharedTokenizer();
  const whole = await readPrompts(conversation, tokenizer, 8192);
  expect(whole.dropped).toBe(0);
  for (const dropped of [1, 4, 8]) {
    const chat = { kind: "chat", name: "input", ...reply, messages: items.slice(dropped) } as const;
    const [prompt] = (await readPrompts(chat, tokenizer, 8192)).prompts;
    const room = prompt!.ids.length + 10;
    expect(await readPrompts(conversation, tokenizer, room)).toEqual({ prompts: [prompt], dropped });
  }
});

it("a conversation whose last item does not fit has its reply shortened, and is refused where nothing is left", async () => {
  const tokenizer = sharedTokenizer();
  const chat = { kind: "chat", name: "input", ...reply, messages: items.slice(8) } as const;
  const { ids } = (await readPrompts(chat, tokenizer, 8192)).prompts[0]!;
  const shortened = await readPrompts(conversation, tokenizer, ids.length + 3);
  expect(shortened).toMatchObject({ dropped: 8, prompts: [{ maxTokens: 3 }] });
  expect(shortened.prompts[0]?.warning).toContain("max_output_tokens lowered from 10 to 3");
  await expect(readPrompts(conversation, tokenizer, ids.length)).rejects.toMatchObject({ code: "prompt_too_long" });
});

it("texts and token ids are read as they are, and an id beyond the vocabulary is refused by its place", async () => {
  const tokenizer = sharedTokenizer();
  const texts = { kind: "texts", ...reply } as const;
  const { prompts } = await readPrompts({ ...texts, prompts: ["", [5, 6]] }, tokenizer, 100);
  expect(prompts.map(({ ids }) => ids)).toEqual([[tokenizer.bosId], [5, 6]]);
  const beyond = readPrompts({ ...texts, prompts: ["a", [0, tokenizer.size]] }, tokenizer, 100);
  await expect(beyond).rejects.toMatchObject({ code: "invalid_request", param: "prompt.1.1" });
});
