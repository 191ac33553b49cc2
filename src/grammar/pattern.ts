// `pattern`: ECMA-262 regular expressions, as far as an automaton can follow them. regexpp parses; what has no automaton is refused by name.
import { type AST, RegExpParser } from "@eslint-community/regexpp";
import type { Fragment } from "./automaton.ts";
import { type CharacterSet, characterSet, complement, type Fragments, MAX_CODE_POINT } from "./fragments.ts";

/** A pattern that is no regular expression, or uses what is not supported. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

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

export interface PatternOptions {
  readonly make: Fragments;
  /** How a character of a set is written. */
  readonly characters: (set: CharacterSet) => Fragment;
}

/**
 * A text that the pattern is found in, as `RegExp.test` finds it: anywhere, unless `^` and `$` say otherwise.
 * @throws PatternError
 */
export function pattern(source: string, { make, characters }: PatternOptions): Fragment {
  const anything = make.repeat(characters(EVERY), 0);

  const group = (alternatives: readonly AST.Alternative[]): Fragment =>
    make.choice(...alternatives.map(({ elements }) => make.sequence(...elements.map(element))));

  const element = (node: AST.Element): Fragment => {
    switch (node.type) {
      case "Character":
        return characters(setOf(node));
      case "CharacterSet":
      case "CharacterClass":
        return characters(setOf(node));
      case "CapturingGroup":
        return group(node.alternatives);
      case "Group":
        if (node.modifiers) throw new PatternError(`${node.raw}: modifiers are not supported`);
        return group(node.alternatives);
      case "Quantifier":
        return make.repeat(element(node.element), node.min, Number.isFinite(node.max) ? node.max : undefined);
      case "Assertion":
        if (node.kind === "start" || node.kind === "end") {
          throw new PatternError(
            `${node.raw} is supported only where a whole alternative of the pattern begins or ends`,
          );
        }
        throw new PatternError(`${node.raw}: look-around and word boundaries are not supported`);
      default:
        throw new PatternError(`${node.raw}: ${node.type} is not supported`);
    }
  };

  const whole = ({ elements }: AST.Alternative): Fragment => {
    const isEdge = (node: AST.Element | undefined, kind: string): boolean =>
      node?.type === "Assertion" && node.kind === kind;
    const starts = isEdge(elements[0], "start");
    const ends = isEdge(elements.at(-1), "end");
    const inner = elements.slice(starts ? 1 : 0, ends ? -1 : undefined).map(element);
    return make.sequence(...(starts ? [] : [anything]), ...inner, ...(ends ? [] : [anything]));
  };
  return make.choice(...parse(source).alternatives.map(whole));
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
      throw new PatternError(error instanceof Error ? error.message : String(error));
    }
  }
}

function setOf(node: AST.Character | AST.CharacterSet | AST.CharacterClass | AST.CharacterClassElement): CharacterSet {
  switch (node.type) {
    case "Character":
      return characterSet([[node.value, node.value]]);
    case "CharacterClassRange":
      return characterSet([[node.min.value, node.max.value]]);
    case "CharacterSet":
      if (node.kind === "any") return ANY;
      if (node.kind === "property") throw new PatternError(`${node.raw}: Unicode properties are not supported`);
      return node.negate ? complement(ESCAPES[node.kind]) : ESCAPES[node.kind];
    case "CharacterClass": {
      const set = characterSet(node.elements.flatMap((part) => setOf(part)));
      return node.negate ? complement(set) : set;
    }
    default:
      throw new PatternError(`${node.raw}: ${node.type} is not supported`);
  }
}
