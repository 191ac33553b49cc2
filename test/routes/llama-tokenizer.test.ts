// The endpoints with a tokenizer as of Llama 2: spaces that no text has, single bytes as tokens, a bos token before every text.
import { describe, expect, test } from "vitest";
import type { Completion } from "../../src/openai/completions/response.ts";
import type { Frame } from "../../src/replica/protocol.ts";
import { createTokenizer } from "../../src/tokenizer/index.ts";
import chats from "../fixtures/tokenizers/chats.json";
import { built, sentencePieceMetadata } from "../tokenizer/kinds.ts";
import { end, errorOf, type Script, testGateway, tokens } from "./gateway.ts";

const tokenizerWith = (template?: string) =>
  createTokenizer(built({ ...sentencePieceMetadata, "tokenizer.chat_template": template }));
const tokenizer = tokenizerWith(chats.templates["llama-2"]);
const gatewayOf = (script: Script = [end], own = tokenizer) => testGateway(script, { tokenizerOf: () => own });
type Gateway = ReturnType<typeof gatewayOf>;

const post = (gateway: Gateway, path: string, body: object): Promise<Response> =>
  gateway.fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "smollm2-135m", ...body }),
  });
const complete = async (gateway: Gateway, body: object): Promise<Completion> =>
  (await post(gateway, "/v1/completions", body)).json();
const idsOf = async (text: string) => (await tokenizer.encode(text)).ids;
/** What comes after a prompt: its first word's token begins with a space. */
const saying = async (text: string): Promise<Frame[]> =>
  tokens((await tokenizer.encode(text, { addStart: false })).ids);

describe("prompts", () => {
  test.each([
    ["text", "The cat", undefined],
    ["text that spells the bos token", "<s>The cat", undefined],
    ["an empty text", "", [1]],
    ["ids, as they are", [300, 301], [300, 301]],
  ])("of %s begin with one bos token", async (_, prompt, ids) => {
    const gateway = gatewayOf();
    await complete(gateway, { prompt });
    const [sent] = gateway.replica.requests.map(({ promptIds }) => promptIds);
    expect(sent).toEqual(ids ?? (await idsOf("The cat")));
    if (typeof prompt === "string") expect(sent?.filter((id) => id === 1)).toHaveLength(1);
  });

  test("of a conversation have the template's bos token, and no other", async () => {
    const gateway = gatewayOf();
    await gateway.chat({});
    expect(gateway.replica.requests[0]?.promptIds).toEqual(await idsOf("<s>[INST] Hi [/INST]"));
  });
});

describe("replies", () => {
  test("keep the space that they begin with, streamed or not", async () => {
    const script = [...(await saying("Rome 👍🏽 is\nold")), end] as Script;
    const text = " Rome 👍🏽 is\nold";
    expect((await complete(gatewayOf(script), { prompt: "The capital is" })).choices[0]?.text).toBe(text);
    const stream = await post(gatewayOf(script), "/v1/completions", { prompt: "The capital is", stream: true });
    const pieces = (await stream.text()).split("\n\n").flatMap((event) => {
      if (!event.startsWith("data: {")) return [];
      return (JSON.parse(event.slice(6)) as Completion).choices.map(({ text }) => text);
    });
    expect(pieces.join("")).toBe(text);
    expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
  });

  test("are cut at a stop string whatever tokens spell it", async () => {
    const script = [...(await saying("one\ntwo three")), end] as Script;
    const { choices } = await complete(gatewayOf(script), { prompt: "x", stop: ["\ntwo"] });
    expect(choices[0]).toMatchObject({ text: " one", finish_reason: "stop" });
  });

  test.each([["The  cat"], ["  The cat"], ["x\ny 👍"], ["<s>The cat</s> x</s>y"]])("echo %j", async (prompt) => {
    const told = (frame: Frame): Frame => (frame.type === "token" ? { ...frame, logprob: -1, top: [] } : frame);
    const [, ...rest] = await idsOf(prompt);
    const script = [
      { type: "prompt", tokens: rest.map((id) => ({ id, logprob: -2, top: [] })) },
      ...(await saying("sat 👍")).map(told),
      end,
    ] as Script;
    const text = `${prompt.replace(/^<s>/, "")} sat 👍`;
    const body = { prompt, echo: true };
    expect((await complete(gatewayOf(script), body)).choices[0]?.text).toBe(text);
    const [choice] = (await complete(gatewayOf(script), { ...body, logprobs: 0 })).choices;
    expect(choice?.text).toBe(text);
    const { tokens: spelled = [], text_offset: offsets = [], token_logprobs: logprobs = [] } = choice?.logprobs ?? {};
    expect(spelled[0]).toBe("<s>");
    expect(logprobs[0]).toBeNull();
    // From place to place the text is the tokens', but for the spaces that no text has and characters of several tokens.
    const places = [...text];
    for (const [i, token] of spelled.entries()) {
      const piece = places.slice(offsets[i], offsets[i + 1] ?? places.length).join("");
      if (piece && !/👍/.test(piece)) expect([token, token.replace(/^ /, "")]).toContain(piece);
    }
  });

  test("echo half a surrogate pair as U+FFFD", async () => {
    const { choices } = await complete(gatewayOf(), { prompt: "a\ud800 b", echo: true });
    expect(choices[0]?.text).toBe("a\ufffd b");
  });

  test("tell the bytes of single-byte tokens", async () => {
    const frames = (await saying("é\n")).map((frame) => ({ ...frame, logprob: -1, top: [] })) as Script;
    const reply = await gatewayOf([...frames, end]).chat({ logprobs: true });
    const { choices } = (await reply.json()) as { choices: { logprobs: { content: { bytes: number[] }[] } }[] };
    const bytes = choices[0]?.logprobs.content.flatMap((token) => token.bytes);
    expect(bytes).toEqual([...new TextEncoder().encode(" é\n")]);
  });
});

describe("conversations that the model has no words for", () => {
  const turns = [{ role: "assistant", content: "x" }];
  test("are refused with the template's words", async () => {
    const reply = await gatewayOf().chat({ messages: turns });
    expect(reply.status).toBe(400);
    const { message, param } = await errorOf(reply);
    expect([message, param]).toEqual([expect.stringContaining("Turns must go user, assistant, user, …"), "messages"]);
  });

  test("are refused where it has no template; prompts are not", async () => {
    const own = tokenizerWith();
    const reply = await gatewayOf([end], own).chat({});
    expect(reply.status).toBe(400);
    expect(await errorOf(reply)).toMatchObject({ param: "model", message: expect.stringContaining("/v1/completions") });
    const response = await post(gatewayOf([end], own), "/v1/responses", { input: "x" });
    expect(response.status).toBe(400);
    expect((await complete(gatewayOf([end], own), { prompt: "x" })).choices).toHaveLength(1);
  });
});

describe("the tokenizer's endpoints", () => {
  const ask = async (path: string, body: object) => (await post(gatewayOf(), path, body)).json();
  test("add the bos token unless they are told not to, and take it back", async () => {
    const ids = await idsOf("The cat");
    expect(await ask("/tokenize", { prompt: "The cat" })).toMatchObject({ tokens: ids });
    expect(await ask("/tokenize", { prompt: "The cat", add_special_tokens: false })).toMatchObject({
      tokens: ids.slice(1),
    });
    expect(await ask("/detokenize", { tokens: ids.slice(1) })).toEqual({ prompt: "The cat" });
    // As transformers spells it.
    expect(await ask("/detokenize", { tokens: ids })).toEqual({ prompt: "<s> The cat" });
  });

  test("tell whether they do, and that there is no template", async () => {
    const info = await (await gatewayOf([end], tokenizerWith()).fetch("/tokenizer_info")).json();
    expect(info).toMatchObject({ add_bos_token: true, bos_token: "<s>", unk_token: "<unk>" });
    expect(info).not.toHaveProperty("chat_template");
    expect(info).not.toHaveProperty("pad_token");
  });
});
