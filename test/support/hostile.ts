// Requests as nobody should send them: valid ones of every endpoint, mutated in their bodies, headers, paths and bytes. The same seed makes the same requests.
import { mulberry32 } from "../../evaluation/random.ts";

export interface HostileRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: Uint8Array<ArrayBuffer> | undefined;
}

/** The field that bounds a reply: a request whose mutation has lost it gets it back, so that no run waits for long texts. */
const LENGTH: Readonly<Record<string, string>> = {
  "/v1/chat/completions": "max_completion_tokens",
  "/v1/completions": "max_tokens",
  "/v1/responses": "max_output_tokens",
};
const MODEL = "smollm2-135m-franken-all-except-last-two";
const MESSAGES = [
  { role: "system", content: "Be brief." },
  { role: "user", content: [{ type: "text", text: "What is the capital of Italy? 🇮🇹" }] },
  { role: "assistant", content: "Rome" },
  { role: "user", content: "And of France?" },
];
const SCHEMA = { type: "object", properties: { a: { type: "integer" } }, required: ["a"], additionalProperties: false };
const TOOL = { name: "f", description: "d", parameters: SCHEMA };
const common = { model: MODEL, temperature: 0, seed: 7 };

const POSTS: readonly (readonly [path: string, body: object])[] = [
  ["/v1/chat/completions", { ...common, messages: MESSAGES, max_completion_tokens: 2 }],
  [
    "/v1/chat/completions",
    { ...common, messages: MESSAGES, max_completion_tokens: 2, stream: true, stream_options: { include_usage: true } },
  ],
  [
    "/v1/chat/completions",
    {
      ...common,
      model: "auto",
      budget: { latency_ms: 900, prefer: "speed" },
      max_completion_tokens: 2,
      n: 2,
      messages: MESSAGES,
      logprobs: true,
      top_logprobs: 2,
      stop: ["\n", "."],
      logit_bias: { "5": -1 },
      presence_penalty: 0.5,
      frequency_penalty: -0.5,
      top_p: 0.9,
      user: "u",
      metadata: { a: "b" },
    },
  ],
  [
    "/v1/chat/completions",
    {
      ...common,
      messages: MESSAGES,
      max_completion_tokens: 2,
      response_format: { type: "json_schema", json_schema: { name: "s", strict: true, schema: SCHEMA } },
    },
  ],
  [
    "/v1/chat/completions",
    {
      ...common,
      messages: MESSAGES,
      max_completion_tokens: 2,
      tool_choice: "auto",
      tools: [{ type: "function", function: TOOL }],
    },
  ],
  ["/v1/completions", { ...common, prompt: "Rome is", max_tokens: 2, echo: true, logprobs: 2 }],
  ["/v1/completions", { ...common, prompt: [[504, 338], [9]], max_tokens: 1, stream: true, stop: ["a"] }],
  ["/v1/responses", { ...common, input: "Say hello.", max_output_tokens: 16, store: false }],
  [
    "/v1/responses",
    {
      ...common,
      input: [{ role: "user", content: "Hi" }],
      max_output_tokens: 16,
      stream: true,
      store: false,
      instructions: "Be brief.",
      tools: [{ type: "function", ...TOOL }],
    },
  ],
  ["/tokenize", { prompt: "Say <|im_end|> hello", add_special_tokens: true }],
  ["/detokenize", { tokens: [1, 2, 504, 338] }],
];
const GETS = [
  ...[
    "/",
    "/health",
    "/openapi.json",
    "/docs",
    "/docs/limits.md",
    "/tokenizer_info",
    "/v1/models",
    "/v1/models/smollm2-135m",
  ],
  ...["/v1/variants/smollm2-135m", "/v1/scores?task=hellaswag", "/v1/decisions/dec_1", "/v1/routing"],
  ...["/v1/embeddings", "/v1/files/file-1", "/v1/responses/resp_1", "/v1/experiments"],
];

const VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    1,
    0.5,
    1e21,
    -1e308,
    2 ** 53,
    5e-324,
    "",
    " ",
    "0",
    "null",
    "NaN",
    "🇮🇹",
    "\u0000",
    "\ud800",
  ],
  ...[
    "<|im_end|>",
    "<|im_start|>system\n",
    "__proto__",
    "' OR 1=1 --",
    "../../etc/passwd",
    "{{7*7}}",
    "\r\nx: y",
    "a".repeat(300),
  ],
  ...[
    "€".repeat(200_000),
    [],
    {},
    [[]],
    [null],
    [{}],
    { "": 0 },
    { type: "text" },
    { length: 2 ** 32 },
    [1, "a", null],
  ],
  ...[
    { $ref: "#" },
    { $ref: "#/$defs/x" },
    { type: "object", additionalProperties: false },
    { toString: null },
    { valueOf: 1 },
  ],
];
const KEYS = [
  "__proto__",
  "constructor",
  "",
  "toString",
  "model",
  "messages",
  "stream",
  "n",
  "tools",
  "budget",
  "length",
  "0",
];
const CONTENT_TYPES = [
  ...["", "text/plain", "application/json; charset=utf-16", "application/x-www-form-urlencoded", "multipart/form-data"],
  ...["application/json, text/plain", "APPLICATION/JSON", "application/vnd.api+json", "x".repeat(500)],
];
const HEADERS: readonly (readonly [string, string])[] = [
  ...([
    ["authorization", ""],
    ["authorization", "Bearer sk-wrong"],
    ["authorization", "Basic YTpi"],
    ["authorization", "Bearer"],
  ] as const),
  ...([
    ["x-latency-budget-ms", "-1"],
    ["x-latency-budget-ms", "NaN"],
    ["x-min-hellaswag", "1e9"],
    ["x-prefer", "gold"],
  ] as const),
  ...([
    ["x-budget-strict", "perhaps"],
    ["x-request-id", "a b"],
    ["x-request-id", "x".repeat(5000)],
    ["accept", "image/png"],
  ] as const),
  ...([
    ["content-encoding", "gzip"],
    ["origin", "null"],
    ["x-forwarded-for", "::1"],
    ["range", "bytes=0-0"],
  ] as const),
  ...([
    ["if-none-match", "*"],
    ["x-ttft-budget-ms", "1e400"],
    ["accept-encoding", "nonsense"],
    ["cookie", "a=b;;;"],
  ] as const),
];
const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"];

/** @param random uniform in [0, 1) */
function* requests(random: () => number): Generator<HostileRequest, never> {
  const below = (n: number): number => Math.floor(random() * n);
  const one = <T>(list: readonly T[]): T => list[below(list.length)] as T;
  const chance = (share: number): boolean => random() < share;
  const encode = (text: string) => new Uint8Array(new TextEncoder().encode(text));

  /** Another value in place of one somewhere below. */
  const mutate = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null || chance(0.15)) return one(VALUES);
    const entries = Object.entries(value);
    const at = below(entries.length);
    const [key, inner] = entries[at] ?? ["a", null];
    if (Array.isArray(value)) {
      if (chance(0.2)) return value.toSpliced(at, 1);
      if (chance(0.2)) return [...value, ...value, one(VALUES)];
      return value.length === 0 ? [one(VALUES)] : value.with(at, mutate(inner));
    }
    const others = entries.toSpliced(at, 1);
    const what = random();
    if (what < 0.15) return Object.fromEntries(others);
    if (what < 0.3) return Object.fromEntries([...others, [one(KEYS), inner]]);
    if (what < 0.45) return Object.fromEntries([...entries, [one(KEYS), one(VALUES)]]);
    return Object.fromEntries([...others, [key, mutate(inner)]]);
  };

  const nest = (text: string): string => {
    const depth = below(200);
    return one([
      `${"[".repeat(depth)}${text}${"]".repeat(depth)}`,
      `${'{"a":'.repeat(depth)}${text}${"}".repeat(depth)}`,
    ]);
  };
  const TEXTS: readonly ((text: string) => string)[] = [
    (text) => text.slice(0, below(text.length)),
    (text) => text + one(["}", "]", ",", "\u0000", "null", text]),
    (text) => text.replace(/:/g, "="),
    (text) => text.replaceAll('"', "'"),
    (text) => text.replace("{", '{"model":1,"stream":true,"model":2,'),
    (text) => text.replace(/\d+/, () => one(["1e999", "-0", "01", "0x1", "NaN", "Infinity", "9".repeat(400)])),
    (text) => `\ufeff${text}`,
    nest,
  ];
  const BYTES: readonly ((bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>)[] = [
    (bytes) => bytes.map((byte) => (chance(2 / bytes.length) ? byte ^ (1 << below(8)) : byte)),
    (bytes) => bytes.map((byte) => (chance(2 / bytes.length) ? below(256) : byte)),
    (bytes) =>
      new Uint8Array([
        ...bytes.subarray(0, below(bytes.length)),
        0xff,
        0xc0,
        0x80,
        ...bytes.subarray(below(bytes.length)),
      ]),
    (bytes) => new Uint8Array(Array.from(bytes).flatMap((byte) => [byte, 0])),
    () => Uint8Array.from({ length: below(500) }, () => below(256)),
    () => new Uint8Array(),
  ];
  const twist = (path: string): string => {
    const where = 1 + below(path.length - 1);
    return one([
      () => `${path}/${one(["..", "%2e%2e", "%00", "%ff", "a".repeat(3000), "🇮🇹", "{id}", "__proto__", "cancel"])}`,
      () =>
        `${path}?${one(["a=b", "variant=%00", "task[]=1", "stream=true&stream=false", "limit=-1", "=", "%", "after=x"])}`,
      () => path.toUpperCase(),
      () => path.replace("/v1", "//v1"),
      () => path.slice(0, where),
      () => `${path.slice(0, where)}${one(["%", "%2f", "\\", ";", ":", "*", "//"])}${path.slice(where)}`,
    ])();
  };
  /** Only what still is a request gets its length back. */
  const bounded = (path: string, bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> => {
    const name = LENGTH[path.replace(/\?.*/, "")];
    if (!name) return bytes;
    try {
      const body: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
      if (typeof body !== "object" || body === null || Array.isArray(body)) return bytes;
      const { [name]: length } = body as Record<string, unknown>;
      const fine = length != null && !(typeof length === "number" && length > 16);
      return fine ? bytes : encode(JSON.stringify({ ...body, [name]: 2 }));
    } catch {
      return bytes;
    }
  };

  for (;;) {
    const [valid, body] = chance(0.85) ? one(POSTS) : ([one(GETS), undefined] as const);
    const path = chance(body ? 0.07 : 0.5) ? twist(valid) : valid;
    const headers: Record<string, string> = body ? { "content-type": "application/json" } : {};
    if (chance(0.1)) headers["content-type"] = one(CONTENT_TYPES);
    for (let i = chance(0.15) ? 1 + below(3) : 0; i > 0; i--) {
      const [name, value] = one(HEADERS);
      headers[name] = value;
    }
    let mutated: unknown = body;
    for (let i = chance(0.7) ? 1 + below(3) : 0; body && i > 0; i--) mutated = mutate(mutated);
    let text = JSON.stringify(mutated) ?? "";
    if (chance(0.25)) text = one(TEXTS)(text);
    let bytes: Uint8Array<ArrayBuffer> = encode(text);
    if (chance(0.15) && bytes.length < 10_000) bytes = one(BYTES)(bytes);
    const method = chance(0.06) ? one(METHODS) : body ? "POST" : "GET";
    const bare = method === "GET" || method === "HEAD";
    yield { method, path, headers, body: bare ? undefined : bounded(path, bytes) };
  }
}

/** @param seed any whole number */
export function hostileRequests(seed: number, count: number): HostileRequest[] {
  const made = requests(mulberry32(seed));
  return Array.from({ length: count }, () => made.next().value);
}
