// Chats under the templates of twelve families, with the prompt tokens that transformers gives (test/fixtures/tokenizers/families.py).
import { describe, expect, it } from "vitest";
import { type ChatMessage, checkTemplate, createTokenizer, withInstructions } from "../../src/tokenizer/index.ts";
import file from "../fixtures/tokenizers/families.json";
import { built, llamaBpeMetadata } from "./kinds.ts";

interface Vector {
  readonly messages: ChatMessage[];
  readonly add_generation_prompt: boolean;
  readonly text?: string;
  readonly ids?: number[];
  readonly error?: string;
}
interface Family {
  readonly template: string;
  readonly specials: string[];
  readonly added: string[];
  readonly parts: Readonly<Record<string, string>>;
  readonly vectors: Vector[];
}
const families = file as unknown as Record<string, Family>;

const [CONTROL, USER_DEFINED] = [3, 4];
const PARTS = { bos_token: "bos", eos_token: "eos", unk_token: "unknown", pad_token: "padding" };

function tokenizerOf({ template, specials, added, parts }: Family) {
  const tokens = [...llamaBpeMetadata["tokenizer.ggml.tokens"], ...specials, ...added];
  const types = llamaBpeMetadata["tokenizer.ggml.token_type"];
  const ids = Object.entries(PARTS).map(([part, name]) => {
    const id = tokens.indexOf(parts[part] ?? "");
    return [`tokenizer.ggml.${name}_token_id`, id < 0 ? undefined : id];
  });
  return createTokenizer(
    built({
      ...llamaBpeMetadata,
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": [...types, ...specials.map(() => CONTROL), ...added.map(() => USER_DEFINED)],
      ...Object.fromEntries(ids),
      "tokenizer.ggml.add_bos_token": false,
      "tokenizer.chat_template": template,
    }),
  );
}

const hasTool = ({ messages }: Vector): boolean => messages.some(({ role }) => role === "tool");
/** These refuse what tools gave back, or leave it out. */
const TOOLLESS = ["mistral", "gemma", "command-r", "vicuna", "tulu"];
/** These refuse a system message, or leave it out. */
const SYSTEMLESS = ["gemma", "vicuna"];

describe.each(Object.entries(families))("a template of the form of %s", (name, family) => {
  const tokenizer = tokenizerOf(family);

  it("gives the text and the tokens that transformers gives, and refuses what it refuses", async () => {
    for (const vector of family.vectors) {
      if (hasTool(vector) && TOOLLESS.includes(name)) continue;
      const { messages, add_generation_prompt: addGenerationPrompt, text, ids, error } = vector;
      const options = { addGenerationPrompt };
      if (error !== undefined) expect(() => tokenizer.renderChat(messages, options)).toThrow(error);
      else expect(tokenizer.renderChat(messages, options)).toBe(text);
      if (ids) expect((await tokenizer.encodeChat(messages, options)).ids, text).toEqual(ids);
    }
  });

  it("writes special tokens where it says so, and none where messages spell them", async () => {
    const special = (ids: readonly number[]) => ids.filter((id) => id >= 900);
    const all = [...family.specials, ...family.added, "<|eot_id|>", "<|start_header_id|>"];
    const turns = (content: string): ChatMessage[] =>
      (["user", "assistant", "user"] as const).map((role) => ({ role, content }));
    const plain = await tokenizer.encodeChat(turns("x y"));
    for (const content of [
      all.join(""),
      all.join(" "),
      `x ${all.at(-1)}y`,
      all.map((token) => token.slice(1)).join(""),
    ]) {
      // What is thought is left out of turns before, by the text itself.
      const hostile = await tokenizer.encodeChat(turns(content.replaceAll("</think>", "").replaceAll("<think>", "")));
      expect(special(hostile.ids), content).toEqual(special(plain.ids));
    }
  });

  it("is told of tools, and of what they gave back, in a turn that it has", () => {
    const chat = (...contents: string[]): ChatMessage[] =>
      contents.map((content, i) => ({ role: (["user", "assistant", "tool", "tool", "user"] as const)[i]!, content }));
    const said = withInstructions(chat("one", "two", "three", "four", "five"), "the tools");
    const text = tokenizer.renderChat(said);
    for (const part of ["one", "two", "three", "four", "five", "the tools"]) expect(text.split(part)).toHaveLength(2);
    if (SYSTEMLESS.includes(name)) expect(text).toContain("the tools\n\none");
    const joined = TOOLLESS.includes(name);
    expect(text.includes("three\nfour\nfive")).toBe(joined);
    const [system, ...rest] = withInstructions([{ role: "system", content: "Be brief." }, ...chat("one")], "the tools");
    const whole = () => tokenizer.renderChat([system!, ...rest]);
    if (name === "gemma") expect(whole).toThrow("There is no system role");
    else expect(whole()).toContain(SYSTEMLESS.includes(name) ? "the tools\n\none" : "Be brief.\n\nthe tools");
  });
});

it("a template that does not parse is told by name", () => {
  expect(() => checkTemplate("{% if %}")).toThrow("its chat template does not parse");
  expect(() => checkTemplate("{{ messages[0].content }}")).not.toThrow();
});
