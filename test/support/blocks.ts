// How long hostile schemas hold up the event loop: the longest time between two turns while they are read, and the longest mask.
import fc from "fast-check";
import { createMatcher, GrammarError } from "../../src/engine/grammar/index.ts";
import { compileSteps, type Grammar, SchemaError } from "../../src/grammar/index.ts";
import { createWork } from "../../src/work.ts";
import { END_ID, randomNumbers, VOCABULARY } from "./grammar.ts";

/** Milliseconds of this process's processor time: what others do on the machine does not count. */
const cpuMs = (): number => process.cpuUsage().user / 1000;

export interface Longest {
  /** Of the pieces that a compilation does between two turns. */
  readonly compileMs: number;
  /** Of the masks of a reply's first tokens. */
  readonly maskMs: number;
  /** What the schema was refused for. */
  readonly refusal: SchemaError | undefined;
}

/** Tokens of the reply that a schema is tried with. */
const TOKENS = 24;

export function longestBlocks(schema: unknown): Longest {
  let compileMs = 0;
  const timed = <T>(work: () => T): T => {
    const started = cpuMs();
    try {
      return work();
    } finally {
      compileMs = Math.max(compileMs, cpuMs() - started);
    }
  };
  try {
    const steps = compileSteps({ type: "json_schema", schema, strict: false }, createWork());
    for (;;) {
      const { done, value } = timed(() => steps.next());
      if (done) return { compileMs, maskMs: longestMask(value.grammar), refusal: undefined };
    }
  } catch (error) {
    if (error instanceof SchemaError) return { compileMs, maskMs: 0, refusal: error };
    throw error;
  }
}

function longestMask(grammar: Grammar): number {
  let longest = 0;
  const random = randomNumbers(1);
  try {
    const matcher = createMatcher({ grammar, vocabulary: VOCABULARY, endIds: [END_ID] });
    for (let i = 0; i < TOKENS && !matcher.over; i++) {
      const started = cpuMs();
      let mask: Int32Array;
      try {
        mask = matcher.mask();
      } finally {
        longest = Math.max(longest, cpuMs() - started);
      }
      const allowed = Array.from({ length: END_ID }, (_, id) => id).filter((id) => has(mask, id));
      if (allowed.length === 0) break;
      matcher.accept(allowed[Math.floor(random() * allowed.length)] as number);
    }
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
  }
  return longest;
}

const has = (mask: Int32Array, id: number): boolean => (((mask[id >> 5] as number) >>> (id & 31)) & 1) === 1;

const count = fc.oneof(fc.nat(30), fc.constantFrom(0, 1, 50, 300, 5000, 2_000_000_000, 1e15));
const atom = fc.constantFrom(
  "a",
  ".",
  "[a-z]",
  "\\w",
  "\\s",
  "[^x]",
  "é",
  "",
  "(?=a)",
  "(?!.*b)",
  "^",
  "$",
  "()",
  "b|",
);
/** Ambiguous nests, empty loops, huge counts, long alternations. */
export const hostilePattern: fc.Arbitrary<string> = fc.letrec<{ pattern: string }>((tie) => ({
  pattern: fc.oneof(
    { depthSize: "medium", withCrossShrink: true },
    atom,
    fc.tuple(tie("pattern"), fc.constantFrom("*", "+", "?", "*?")).map(([inner, sign]) => `(${inner})${sign}`),
    fc.tuple(tie("pattern"), count, count).map(([inner, a, b]) => `(${inner}){${Math.min(a, b)},${Math.max(a, b)}}`),
    fc.tuple(tie("pattern"), count).map(([inner, times]) => `(?:${inner}){${times}}`),
    fc.array(tie("pattern"), { minLength: 1, maxLength: 4 }).map((all) => all.join("")),
    fc.array(tie("pattern"), { minLength: 1, maxLength: 4 }).map((all) => `(?:${all.join("|")})`),
    fc
      .tuple(fc.nat(600), fc.nat(20))
      .map(([many, length]) => Array.from({ length: many }, (_, i) => `${"a".repeat(length)}${i}`).join("|")),
    fc.tuple(tie("pattern"), fc.boolean()).map(([inner, negate]) => `(?${negate ? "!" : "="}${inner})`),
    fc
      .array(fc.integer({ min: 0x100, max: 0xd7ff }), { maxLength: 800 })
      .map((codes) => `[a${String.fromCodePoint(...codes)}]{0,60}`),
  ),
})).pattern;

const shuffled = (values: number[]): fc.Arbitrary<number[]> =>
  fc.shuffledSubarray(values, { minLength: values.length });
/** Deep references, wide objects, products of choices. */
const wide: fc.Arbitrary<object> = fc.oneof(
  fc.integer({ min: 2, max: 5000 }).chain((many) =>
    shuffled([...Array(many).keys()]).map((order) => ({
      $ref: "#/$defs/d0",
      $defs: Object.fromEntries(order.map((i) => [`d${i}`, i + 1 < many ? { $ref: `#/$defs/d${i + 1}` } : {}])),
    })),
  ),
  fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.boolean()).map(([many, all]) => {
    const names = Array.from({ length: many }, (_, i) => `p${i}`);
    const properties = Object.fromEntries(names.map((name) => [name, { type: ["string", "number"] }]));
    return { type: "object", properties, required: all ? names : [] };
  }),
  fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 30 })).map(([times, ways]) => ({
    allOf: Array.from({ length: times }, (_, i) => ({
      anyOf: Array.from({ length: ways }, (_, j) => ({ required: [`n${i}_${j}`], properties: { [`n${i}_${j}`]: {} } })),
    })),
  })),
  fc.integer({ min: 2, max: 200 }).map((many) => ({
    oneOf: Array.from({ length: many }, (_, i) => ({
      properties: { a: { items: { minimum: i } }, k: { const: i } },
      required: ["a", "k"],
    })),
  })),
  fc.tuple(fc.integer({ min: 1, max: 1e9 }), fc.integer({ min: -1e15, max: 1e15 })).map(([multipleOf, minimum]) => ({
    type: "number",
    minimum,
    allOf: [{ multipleOf }, { multipleOf: multipleOf / 1000 }],
  })),
  fc
    .array(fc.string({ maxLength: 200 }), { minLength: 1, maxLength: 900 })
    .map((values) => ({ enum: values, pattern: "^(a|b)*c" })),
  fc
    .tuple(count, count)
    .map(([a, b]) => ({ type: "array", items: { maxLength: a }, minItems: Math.min(a, b), maxItems: Math.max(a, b) })),
);

export const hostileSchema: fc.Arbitrary<unknown> = fc.oneof(
  { weight: 3, arbitrary: hostilePattern.map((pattern) => ({ type: "string", pattern })) },
  fc
    .tuple(hostilePattern, count, fc.constantFrom("email", "date-time", "uri", "none"))
    .map(([pattern, maxLength, format]) => ({
      type: "string",
      pattern,
      maxLength,
      format,
    })),
  fc
    .array(hostilePattern, { minLength: 2, maxLength: 6 })
    .map((all) => ({ type: "string", allOf: all.map((pattern) => ({ pattern })) })),
  fc.array(hostilePattern, { minLength: 1, maxLength: 30 }).map((all) => ({
    type: "object",
    properties: Object.fromEntries(all.map((pattern, i) => [`p${i}`, { type: "string", pattern }])),
  })),
  { weight: 2, arbitrary: wide },
);

/** The longest block that the event loop may have to wait for. */
const MOST_MS = 100;

/** The longest block of the best of a few attempts: collecting garbage counts, whoever made it. */
export function longestBlock(schema: unknown): number {
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 4 && best > MOST_MS; attempt++) {
    const { compileMs, maskMs } = longestBlocks(schema);
    best = Math.min(best, Math.max(compileMs, maskMs));
  }
  return best;
}

/** Whatever the schema: no block is longer, or it is not when tried again. @throws Error that names the schema */
export function checkBlocks(runs: number, seed: number): void {
  fc.assert(
    fc.property(hostileSchema, (schema) => {
      const best = longestBlock(schema);
      if (best > MOST_MS) throw new Error(`the event loop waits for ${best.toFixed()} ms`);
    }),
    { numRuns: runs, seed, endOnFailure: true },
  );
}
