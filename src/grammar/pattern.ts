// `pattern`: ECMA-262 regular expressions, as far as an automaton can follow them. regexpp parses; what has
// no automaton is refused by name.
import { type AST, RegExpParser } from "@eslint-community/regexpp";
import type { Steps, Work } from "../work.ts";
import { type CharacterSet, characterSet, complement, MAX_CODE_POINT } from "./fragments.ts";
import { type Condition, conjunction, mayEnd, type Nfa } from "./nfa.ts";

/** A pattern that is no regular expression, or uses what is not supported. */
export class PatternError extends Error {
  override readonly name = "PatternError";
  /** @param malformed whether it is no regular expression of ECMA-262 at all. Default: false */
  constructor(
    message: string,
    readonly malformed = false,
  ) {
    super(message);
  }
}

/** Characters of one pattern. */
const MAX_PATTERN = 10_000;
/** Ranges of one set of characters. */
const MAX_RANGES = 1_000;
/** Groups within groups. */
const MAX_DEPTH = 200;

/** Repetitions whose count may differ by more than `LONG`: so many are followed as they are. */
const MAX_LONG = 2;
const LONG = 40;

/** `.`: all but line ends. */
const ANY = complement(
  characterSet([
    [0x0a, 0x0a],
    [0x0d, 0x0d],
    [0x2028, 0x2029],
  ]),
);
const EVERY = characterSet([[0, MAX_CODE_POINT]]);
const ESCAPES: Record<"digit" | "space" | "word", CharacterSet> = {
  digit: characterSet([[0x30, 0x39]]),
  word: characterSet([
    [0x30, 0x39],
    [0x41, 0x5a],
    [0x5f, 0x5f],
    [0x61, 0x7a],
  ]),
  // ECMA-262: WhiteSpace and LineTerminator.
  space: characterSet(
    [0x20, 0xa0, 0x1680, 0x202f, 0x205f, 0x3000, 0xfeff]
      .map((code): [number, number] => [code, code])
      .concat([
        [0x09, 0x0d],
        [0x2000, 0x200a],
        [0x2028, 0x2029],
      ]),
  ),
};

/** A pattern that an automaton can follow. */
export interface Pattern {
  readonly source: string;
  readonly alternatives: readonly AST.Alternative[];
  /**
   * Whether repetitions stand in repetitions, or many long ones in a row: then one text may be read in
   * very many ways, and the automaton is worth being made over.
   */
  readonly ambiguous: boolean;
}

/** @throws PatternError */
export function readPattern(source: string): Pattern {
  if (source.length > MAX_PATTERN) {
    throw new PatternError(`it has ${source.length} characters; ${MAX_PATTERN} are read`);
  }
  const { alternatives } = parse(source);
  let nested = false;
  let long = 0;
  const onRepetition = (isNested: boolean, length: number): void => {
    nested ||= isNested;
    if (length > LONG) long++;
  };
  const where: Where = { leading: true, anchored: false, repeated: false, counted: false, depth: 0, onRepetition };
  for (const alternative of alternatives) check(alternative, where);
  return { source, alternatives, ambiguous: nested || long > MAX_LONG };
}

/** Where in a pattern something stands. */
interface Where {
  /** Nothing that reads a character can come before it in its alternative. */
  readonly leading: boolean;
  /** `^` stands before it in its alternative. */
  readonly anchored: boolean;
  /** It stands in a repetition without end: what follows it is not known. */
  readonly repeated: boolean;
  /** It stands in a repetition whose count may differ. */
  readonly counted: boolean;
  readonly depth: number;
  onRepetition(isNested: boolean, length: number): void;
}

const isRepetition = (node: AST.Quantifier): boolean => node.max > 1 && node.max !== node.min;

/** @throws PatternError for what has no automaton */
function check(alternative: AST.Alternative, where: Where): void {
  if (where.depth > MAX_DEPTH) throw new PatternError(`it is nested too deeply`);
  let { leading, anchored } = where;
  for (const node of alternative.elements) {
    checkElement(node, { ...where, leading, anchored });
    anchored ||= node.type === "Assertion" && node.kind === "start";
    if (node.type !== "Assertion") leading = false;
  }
}

function checkElement(node: AST.Element, where: Where): void {
  const within = { ...where, depth: where.depth + 1 };
  switch (node.type) {
    case "Character":
    case "CharacterSet":
    case "CharacterClass":
      setOf(node);
      return;
    case "CapturingGroup":
    case "Group":
      if (node.type === "Group" && node.modifiers) throw new PatternError(`${node.raw}: modifiers are not supported`);
      for (const alternative of node.alternatives) check(alternative, within);
      return;
    case "Quantifier": {
      if (isRepetition(node)) where.onRepetition(where.counted, Number.isFinite(node.max) ? node.max - node.min : 0);
      const counted = where.counted || isRepetition(node);
      const repeated = where.repeated || node.max === Number.POSITIVE_INFINITY;
      checkElement(node.element, { ...within, counted, repeated, leading: where.leading && node.max <= 1 });
      return;
    }
    case "Assertion":
      return checkAssertion(node, within);
    default:
      throw new PatternError(`${node.raw}: ${node.type} is not supported`);
  }
}

function checkAssertion(node: AST.Assertion, where: Where): void {
  if (node.kind === "start") {
    if (where.leading) return;
    throw new PatternError(`${node.raw} is supported only where an alternative of the pattern begins`);
  }
  if (node.kind === "end") {
    if (!where.repeated) return;
    throw new PatternError(`${node.raw} in a repetition is not supported`);
  }
  if (node.kind !== "lookahead") {
    throw new PatternError(`${node.raw}: look-behind and word boundaries are not supported`);
  }
  if (where.repeated) throw new PatternError(`${node.raw}: look-ahead in a repetition without end is not supported`);
  for (const alternative of node.alternatives) {
    check(alternative, { ...where, leading: where.leading && where.anchored, repeated: false });
  }
}

/**
 * The texts that a pattern is found in, as `RegExp.test` finds it: anywhere, unless `^` and `$` say otherwise.
 * @returns the state that they begin at
 * @throws GrammarTooLarge, WorkLimitError
 */
export function* patternStart({ alternatives }: Pattern, nfa: Nfa, work: Work): Steps<number> {
  const sets = new Map<string, CharacterSet>();
  /** Any text, of which the pattern has found all that it wanted. */
  const rest = nfa.state();
  nfa.read(rest, EVERY, rest);
  nfa.jump(rest, nfa.end);
  const never = nfa.state();

  const choice = (states: readonly number[]): number => {
    if (states.length === 1) return states[0] as number;
    const made = nfa.state();
    for (const state of states) nfa.jump(made, state);
    return made;
  };
  const read = (node: SetNode, next: number): number => {
    const set = sets.get(node.raw) ?? setOf(node);
    sets.set(node.raw, set);
    const made = nfa.state();
    nfa.read(made, set, next);
    return made;
  };
  /** Lets what begins at a state be left out. A character's state is its own: it takes the way around itself. */
  const optional = (part: AST.Element, before: number, next: number): number => {
    if (!SETS.has(part.type)) return choice([before, next]);
    nfa.jump(before, next);
    return before;
  };
  function* sequence({ elements }: AST.Alternative, next: number, atStart: boolean): Steps<number> {
    let after = next;
    for (const node of elements.toReversed()) after = yield* element(node, after, atStart);
    return after;
  }
  function* group(list: readonly AST.Alternative[], next: number, atStart: boolean): Steps<number> {
    const starts: number[] = [];
    for (const alternative of list) starts.push(yield* sequence(alternative, next, atStart));
    return choice(starts);
  }
  function* quantifier({ element: part, min, max }: AST.Quantifier, next: number, atStart: boolean): Steps<number> {
    let after = next;
    if (max === Number.POSITIVE_INFINITY) {
      after = nfa.state();
      nfa.jump(after, next);
      nfa.jump(after, yield* element(part, after, atStart));
    }
    for (let i = max === Number.POSITIVE_INFINITY ? min : max; i > 0; i--) {
      if (work.takeTurn()) yield;
      work.spend(1);
      const before = yield* element(part, after, atStart);
      // What reads nothing reads nothing however often.
      if (before === after) break;
      after = i > min ? optional(part, before, next) : before;
    }
    return after;
  }
  function* assertion(node: AST.Assertion, next: number, atStart: boolean): Steps<number> {
    if (node.kind === "start") return atStart ? next : never;
    if (node.kind === "end") return mayEnd(nfa, next, work) ? nfa.end : never;
    if (node.kind !== "lookahead") throw new Error("readPattern lets no other assertion through");
    const ahead = yield* group(node.alternatives, rest, atStart);
    const conditions: Condition[] = [{ start: next }, { start: ahead, not: node.negate }];
    return yield* conjunction(nfa, conditions, undefined, work);
  }
  function* element(node: AST.Element, next: number, atStart: boolean): Steps<number> {
    switch (node.type) {
      case "CapturingGroup":
      case "Group":
        return yield* group(node.alternatives, next, atStart);
      case "Quantifier":
        return yield* quantifier(node, next, atStart);
      case "Assertion":
        return yield* assertion(node, next, atStart);
      default:
        return read(node as SetNode, next);
    }
  }

  const starts: number[] = [];
  for (const alternative of alternatives) {
    const begins = startsOf(alternative);
    if (begins !== "never") starts.push(yield* sequence(alternative, rest, true));
    if (begins === "always") continue;
    const later = nfa.state();
    nfa.read(later, EVERY, later);
    nfa.jump(later, yield* sequence(alternative, rest, false));
    starts.push(later);
  }
  return choice(starts);
}

/** Whether an alternative begins with `^`: in all of its ways, in some or in none. */
function startsOf({ elements }: AST.Alternative): "always" | "sometimes" | "never" {
  const [first] = elements;
  if (first?.type === "Assertion" && first.kind === "start") return "always";
  if (first?.type === "Assertion") return startsOf({ elements: elements.slice(1) } as AST.Alternative);
  const within = first?.type === "Quantifier" ? first.element : first;
  if (within?.type !== "Group" && within?.type !== "CapturingGroup") return "never";
  const kinds = new Set(within.alternatives.map(startsOf));
  if (kinds.size > 1) return "sometimes";
  const [kind = "never"] = kinds;
  return kind === "always" && first !== within ? "sometimes" : kind;
}

/** JSON Schema asks for Unicode mode; patterns with escapes that only the older mode has are read in that. */
function parse(source: string): AST.Pattern {
  const parser = new RegExpParser({ ecmaVersion: 2024 });
  try {
    return parser.parsePattern(source, undefined, undefined, { unicode: true });
  } catch {
    try {
      return parser.parsePattern(source);
    } catch (error) {
      throw new PatternError(error instanceof Error ? error.message : String(error), true);
    }
  }
}

const SETS = new Set<string>(["Character", "CharacterSet", "CharacterClass"]);
type SetNode = AST.Character | AST.CharacterSet | AST.CharacterClass;

/** The older mode reads an escaped letter that means nothing as the letter; other languages give it a meaning. */
const isForeign = ({ raw, value }: AST.Character): boolean => /^\\[a-zA-Z]$/.test(raw) && raw.codePointAt(1) === value;

function setOf(node: SetNode | AST.CharacterClassElement): CharacterSet {
  switch (node.type) {
    case "Character":
      if (isForeign(node)) throw new PatternError(`${node.raw} is no escape of ECMA-262`, true);
      return characterSet([[node.value, node.value]]);
    case "CharacterClassRange":
      return characterSet([[node.min.value, node.max.value]]);
    case "CharacterSet":
      if (node.kind === "any") return ANY;
      if (node.kind === "property") throw new PatternError(`${node.raw}: Unicode properties are not supported`);
      return node.negate ? complement(ESCAPES[node.kind]) : ESCAPES[node.kind];
    case "CharacterClass": {
      const set = characterSet(node.elements.flatMap((part) => setOf(part)));
      if (set.length > MAX_RANGES) {
        throw new PatternError(`a set of ${set.length} ranges is not supported: ${MAX_RANGES} are`);
      }
      return node.negate ? complement(set) : set;
    }
    default:
      throw new PatternError(`${node.raw}: ${node.type} is not supported`);
  }
}
