// How long hostile requests hold up the event loop: from a body's bytes to the prompt's tokens, as every endpoint reads them.
import fc from "fast-check";
import {
  type ApiError,
  parseChatRequest,
  parseCompletionRequest,
  parseResponseRequest,
} from "../../src/openai/index.ts";
import { readJson } from "../../src/routes/body.ts";
import { toApiError } from "../../src/routes/errors.ts";
import { readPrompts } from "../../src/serving/prompts.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokenizer/index.ts";
import { parseTemplate } from "../../src/tokenizer/template.ts";
import { createWork, WorkLimitError } from "../../src/work.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

export interface HostileBody {
  readonly endpoint: keyof typeof ENDPOINTS;
  readonly body: string;
}

const CONTEXT = 8192;
const ENDPOINTS = {
  async chat(body: unknown, tokenizer: Tokenizer) {
    await readPrompts((await parseChatRequest(body)).ask.prompt, tokenizer, CONTEXT);
  },
  async completions(body: unknown, tokenizer: Tokenizer) {
    await readPrompts(parseCompletionRequest(body).ask.prompt, tokenizer, CONTEXT);
  },
  async responses(body: unknown, tokenizer: Tokenizer) {
    const request = await parseResponseRequest(body, () => "1");
    await readPrompts(request.ask(request.items).prompt, tokenizer, CONTEXT);
  },
};

/** Milliseconds of this process's processor time: what others do on the machine does not count. */
const cpuMs = (): number => process.cpuUsage().user / 1000;

let tokenizer: Tokenizer | undefined;

/** @returns the longest block of the event loop in milliseconds, and what the request was refused for */
export async function readHostile({ endpoint, body }: HostileBody) {
  tokenizer ??= createTokenizer(tokenizerJson);
  const headers = { "content-type": "application/json" };
  const request = new Request("https://gateway.test/", { method: "POST", headers, body });
  let longestMs = 0;
  let last = cpuMs();
  let over = false;
  const look = (): void => {
    const now = cpuMs();
    longestMs = Math.max(longestMs, now - last);
    last = now;
    if (!over) setImmediate(look);
  };
  setImmediate(look);
  let refusal: ApiError | undefined;
  try {
    await ENDPOINTS[endpoint](await readJson(request), tokenizer);
  } catch (error) {
    refusal = toApiError(error);
    if (refusal.code === "internal_error") throw error;
  }
  await new Promise<void>((resolve) => setImmediate(resolve));
  over = true;
  await new Promise<void>((resolve) => setImmediate(resolve));
  return { longestMs, refusal };
}

/** As many of small numbers as of large ones. */
const many = (most: number): fc.Arbitrary<number> =>
  fc.double({ min: 0, max: Math.log(most), noNaN: true }).map((log) => Math.floor(Math.exp(log)));
const UNITS = [
  ..."a 中'1.\n\t\u0001\ue000\ud800\u200d",
  ...[
    "😀",
    " word",
    "aé",
    "<|im_end|>",
    "<|im_start|>",
    "\r\n",
    "abcdefghijklmnopqrstuvwxyz",
    '{"a":',
    "\\",
    '"',
    "<tool_call>[",
  ],
];
const text = fc
  .tuple(fc.array(fc.constantFrom(...UNITS), { minLength: 1, maxLength: 4 }), many(2_000_000))
  .map(([units, length]) => {
    const unit = units.join("");
    return unit.repeat(Math.max(1, Math.floor(length / unit.length)));
  });
const anything = fc.constantFrom<unknown>(
  1,
  null,
  "a",
  [],
  {},
  true,
  "auto",
  { type: "text", text: "a" },
  { role: "user", content: "a" },
  { type: "function", function: { name: "f" } },
  { type: "reasoning" },
  { type: 1 },
  { role: 1 },
);
const list = (element: fc.Arbitrary<unknown>): fc.Arbitrary<unknown[]> =>
  fc.tuple(element, many(150_000)).map(([inner, length]) => Array.from({ length }, () => inner));
const map = (member: fc.Arbitrary<unknown>): fc.Arbitrary<object> =>
  fc
    .tuple(member, many(69_000), fc.constantFrom("", "k", "__proto__"))
    .map(([inner, length, name]) => Object.fromEntries(Array.from({ length }, (_, i) => [`${name}${i}`, inner])));
const parts = list(
  fc.oneof(fc.constant({ type: "text", text: "a" }), fc.constant({ type: "input_text", text: "a" }), anything),
);
const message = fc.oneof(
  fc.record({
    role: fc.constantFrom("user", "system", "assistant"),
    content: fc.constantFrom<unknown>("a", "", 5, "word ".repeat(20)),
  }),
  fc.record({ role: fc.constant("user"), content: fc.oneof(text, parts) }),
);
const messages = fc.oneof(
  list(message),
  fc.array(message, { minLength: 1, maxLength: 5 }),
  list(anything),
  many(40_000).map((calls) => [
    {
      role: "assistant",
      tool_calls: Array.from({ length: calls }, (_, i) => ({
        id: `c${i}`,
        type: "function",
        function: { name: "f", arguments: "{}" },
      })),
    },
    ...Array.from({ length: calls }, (_, i) => ({ role: "tool", content: "r", tool_call_id: `c${i}` })),
  ]),
);
const schema = fc.oneof(
  map(anything),
  map(anything).map((properties) => ({ type: "object", properties })),
);
const tool = schema.map((parameters) => ({
  type: "function",
  name: "f",
  parameters,
  function: { name: "f", parameters },
}));
const field = (name: string, value: fc.Arbitrary<unknown>): fc.Arbitrary<object> =>
  value.map((inner) => ({ [name]: inner }));
const fields = fc.oneof(
  field("messages", messages),
  field(
    "input",
    fc.oneof(
      messages,
      text,
      list(
        fc.record({
          type: fc.constantFrom("function_call", "reasoning", "function_call_output"),
          call_id: fc.constant("c"),
          name: fc.constant("f"),
          arguments: fc.constant("{}"),
          output: fc.constant("r"),
        }),
      ),
    ),
  ),
  field("prompt", fc.oneof(text, list(fc.constantFrom<unknown>(5, "a", [5], "word ".repeat(20))), list(anything))),
  field("tools", fc.oneof(list(anything), list(tool), fc.array(tool, { maxLength: 4 }))),
  field("stop", fc.oneof(text, list(anything), list(text))),
  field("logit_bias", map(fc.constantFrom<unknown>(1, "a"))),
  field("metadata", map(fc.constantFrom<unknown>(1, "a"))),
  field("include", list(anything)),
  field(
    "response_format",
    schema.map((inner) => ({ type: "json_schema", json_schema: { name: "s", schema: inner } })),
  ),
  field(
    "text",
    schema.map((inner) => ({ format: { type: "json_schema", name: "s", schema: inner } })),
  ),
  field(
    "tool_choice",
    list(anything).map((tools) => ({
      type: "allowed_tools",
      mode: "auto",
      tools,
      allowed_tools: { mode: "auto", tools },
    })),
  ),
  field("instructions", text),
  field("functions", list(anything)),
  field("truncation", fc.constant("auto")),
  map(anything),
);
const raw = fc.oneof(
  fc
    .tuple(many(62), many(150_000), fc.constantFrom("[]", "1", "1234567890123456789", '"a"'))
    .map(([depth, width, value]) => `${"[".repeat(depth)}${`${value},`.repeat(width)}1${"]".repeat(depth)}`),
  fc
    .tuple(fc.constantFrom("1", " ", "\\\\", '\\"', "\\u0031"), many(2_000_000))
    .map(([unit, times]) => `[1234567890123456789,"${unit.repeat(times / unit.length)}"]`),
  many(4_000_000).map((times) => `[${"1".repeat(times)}]`),
  many(4_000_000).map((times) => `[12345678901234567${" ".repeat(times)}]`),
);
const MOST_BYTES = 4_000_000;

export const hostileBody: fc.Arbitrary<HostileBody> = fc
  .tuple(
    fc.constantFrom(...(Object.keys(ENDPOINTS) as (keyof typeof ENDPOINTS)[])),
    fc.array(fields, { minLength: 1, maxLength: 2 }),
    fc.option(raw, { freq: 8 }),
  )
  .map(([endpoint, given, exact]) => {
    const usual = { model: "m", messages: [{ role: "user", content: "a" }], input: "a", prompt: "a", tools: undefined };
    const theirs =
      endpoint === "chat"
        ? ["input", "prompt"]
        : endpoint === "responses"
          ? ["messages", "prompt", "stop", "logit_bias", "functions", "response_format"]
          : ["messages", "input"];
    const body = Object.fromEntries(
      Object.entries(Object.assign(usual, ...given)).filter(([name]) => !theirs.includes(name)),
    );
    const written = JSON.stringify(body);
    return { endpoint, body: exact === null ? written : `${written.slice(0, -1)},"x":${exact}}` };
  })
  .filter(({ body }) => body.length < MOST_BYTES);

const expression = fc.letrec<{ text: string }>((tie) => ({
  text: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(
      "message.content",
      "message['role']",
      "messages[0].content",
      "loop.index | string",
      "messages | length | string",
      "bos_token",
    ),
    fc
      .tuple(
        tie("text"),
        fc.constantFrom("trim", "upper", "length | string", "tojson", "replace('a', 'aa')", "title", "indent"),
      )
      .map(([inner, filter]) => `(${inner} | ${filter})`),
    fc
      .tuple(
        tie("text"),
        fc.constantFrom(
          "strip()",
          "split(' ')[0]",
          "lstrip('a')",
          "rsplit('a', 3)[-1]",
          "replace('word', '')",
          "splitlines() | join(' ')",
          "partition('a')[2]",
          "count('a') | string",
        ),
      )
      .map(([inner, call]) => `(${inner}).${call}`),
    fc.tuple(tie("text"), tie("text")).map(([a, b]) => `${a} + ${b}`),
    fc.tuple(tie("text"), tie("text")).map(([a, b]) => `('x' if ${a} == ${b} else 'y')`),
    fc.constantFrom(
      "messages[1:][0].content",
      "messages[::-1][0].content",
      "(messages | map(attribute='content') | join(''))",
      "(messages | selectattr('role', 'equalto', 'user') | list | length | string)",
      "message.content[::2]",
    ),
  ),
})).text;
/** Loops in loops, lists made anew in each turn, texts that are searched again and again. */
export const hostileTemplate: fc.Arbitrary<string> = fc
  .letrec<{ block: string }>((tie) => ({
    block: fc.oneof(
      { depthSize: "small" },
      expression.map((inner) => `{{ ${inner} }}`),
      fc
        .tuple(
          tie("block"),
          fc.constantFrom(
            "messages",
            "messages[1:]",
            "messages | reverse",
            "messages if message.role == 'user'",
            "range(messages | length)",
          ),
        )
        .map(([inner, over]) => `{% for message in ${over} %}${inner}{% endfor %}`),
      fc
        .tuple(expression, tie("block"), tie("block"))
        .map(([test, a, b]) => `{% if ${test} == 'a' %}${a}{% else %}${b}{% endif %}`),
      fc.tuple(expression, tie("block")).map(([value, inner]) => `{% set ns = namespace(t=${value}) %}${inner}`),
      fc.tuple(tie("block"), tie("block")).map(([a, b]) => a + b),
    ),
  }))
  .block.map((block) => `{% for message in messages %}${block}{% endfor %}`);

export interface HostileRendering {
  readonly template: string;
  readonly messages: readonly { readonly role: string; readonly content: string }[];
}
export const hostileRendering: fc.Arbitrary<HostileRendering> = fc.record({
  template: hostileTemplate,
  messages: fc.tuple(many(8_000), fc.constantFrom("a", "a word ", "é\n"), many(131_000)).map(([length, unit, size]) =>
    Array.from({ length }, (_, i) => ({
      role: i % 2 ? "assistant" : "user",
      content: unit.repeat(Math.max(1, size / length / unit.length)),
    })),
  ),
});

/** Milliseconds that a template takes, whatever comes of it. */
export function renderHostile({ template, messages }: HostileRendering): number {
  const parsed = parseTemplate(template);
  const started = cpuMs();
  try {
    parsed.render({ messages, bos_token: "<s>" }, (shown) => shown.replace(/[\ue000-\uf8ff]/g, "<"), createWork());
  } catch (error) {
    if (!(error instanceof WorkLimitError || error instanceof Error)) throw error;
  }
  return cpuMs() - started;
}

/** An input may be megabytes. */
const MOST_SHOWN = 1_000;
function report<T>({ failed, counterexample, errorInstance, counterexamplePath }: fc.RunDetails<T>): void {
  if (!failed) return;
  const shown = JSON.stringify(counterexample).slice(0, MOST_SHOWN);
  throw new Error(`${(errorInstance as Error).message}, at ${counterexamplePath}, for ${shown}`);
}

/** The longest block that the event loop may have to wait for. */
const MOST_MS = 100;

/** The longest block of the best of a few attempts: collecting garbage counts, whoever made it. */
async function best(attempt: () => number | Promise<number>): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < 4 && least > MOST_MS; tries++) least = Math.min(least, await attempt());
  if (least > MOST_MS) throw new Error(`the event loop waits for ${least.toFixed()} ms`);
}

/** Whatever a body has in it. @throws Error that names the body */
export const checkBodies = (runs: number, seed: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(hostileBody, (body) => best(async () => (await readHostile(body)).longestMs)),
    { numRuns: runs, seed, endOnFailure: true, reporter: report },
  );

/** Whatever a template says, and of whatever messages. @throws Error that names them */
export const checkTemplates = (runs: number, seed: number): Promise<void> =>
  fc.assert(
    fc.asyncProperty(hostileRendering, (rendering) => best(() => renderHostile(rendering))),
    { numRuns: runs, seed, endOnFailure: true, reporter: report },
  );
