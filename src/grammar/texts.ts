// The text of strings: patterns, formats and lengths together as one automaton, and that automaton as JSON.

import { type Steps, type Work, WorkLimitError } from "../work.ts";
import { type AutomatonBuilder, type Fragment, GrammarTooLarge, type State } from "./automaton.ts";
import { named } from "./errors.ts";
import { formatPattern } from "./formats.ts";
import type { CharacterSet, Fragments } from "./fragments.ts";
import type { JsonFragments } from "./json.ts";
import { type Condition, conjunction, createNfa, type Lengths, lengthsOf, meets } from "./nfa.ts";
import { type Pattern, patternStart, readPattern } from "./pattern.ts";
import type { TextRules } from "./rules.ts";

/** A length beside a pattern that no reply gets to: it is not counted. */
const LONGEST_TEXT = 65_536;
/** What making over an automaton may cost that would do as it is. */
const MADE_OVER_STEPS = 1_000_000;
const MADE_OVER_STATES = 10_000;

export interface Texts {
  /** A JSON string with its quotes. Its states are made later. @param path for errors then */
  fragment(rules: TextRules, path: string): Steps<Fragment>;
  /** Whether a text fulfils the rules. @throws GrammarTooLarge, WorkLimitError */
  allows(rules: TextRules, text: string): Steps<boolean>;
  /** Whether it is certain that no text does. @throws GrammarTooLarge, WorkLimitError */
  isNever(rules: TextRules): Steps<boolean>;
}

export interface TextsOptions {
  readonly builder: AutomatonBuilder;
  readonly make: Fragments;
  readonly json: JsonFragments;
  readonly work: Work;
}

export function createTexts({ builder, make, json, work }: TextsOptions): Texts {
  const nfa = createNfa(work);
  /** By pattern where its automaton begins, and by rules what strings of them are. */
  const starts = new Map<string, number>();
  const strings = new Map<string, Fragment>();

  function* startOf(source: string, pattern?: Pattern): Steps<number> {
    const start = starts.get(source) ?? (yield* patternStart(pattern ?? readPattern(source), nfa, work));
    starts.set(source, start);
    return start;
  }
  function* conditionsOf(rules: TextRules): Steps<Condition[]> {
    const conditions: Condition[] = [];
    const patterns = new Map(rules.patterns.map((pattern) => [pattern.source, pattern]));
    for (const [source, pattern] of patterns) conditions.push({ start: yield* startOf(source, pattern) });
    for (const name of new Set(rules.formats)) {
      conditions.push({ start: yield* startOf(formatPattern(name, rules.max)) });
    }
    return conditions;
  }
  /** Without the lengths. */
  function* joined(rules: TextRules): Steps<number> {
    const conditions = yield* conditionsOf(rules);
    const [first = { start: nfa.end }] = conditions;
    if (conditions.length > 1) return yield* conjunction(nfa, conditions, undefined, work);
    return rules.patterns.some(({ ambiguous }) => ambiguous) ? yield* madeOver(first) : first.start;
  }
  /** The same texts, each read in one way only, where that is not too large. */
  function* madeOver(condition: Condition): Steps<number> {
    const before = nfa.reads.length;
    let spent = 0;
    const own: Work = {
      ...work,
      spend(steps) {
        spent += steps;
        work.spend(steps);
        if (spent > MADE_OVER_STEPS || nfa.reads.length > before + MADE_OVER_STATES)
          throw new WorkLimitError("of one pattern");
      },
    };
    try {
      return yield* conjunction(nfa, [condition], undefined, own);
    } catch (error) {
      if (!(error instanceof WorkLimitError || error instanceof GrammarTooLarge)) throw error;
      work.spend(0);
      return condition.start;
    }
  }
  function* withLengths(rules: TextRules): Steps<number> {
    const start = yield* joined(rules);
    const { min, max } = rules;
    if (min === 0 && max === undefined) return start;
    const { shortest, longest } = lengthsOf(nfa, start, work);
    const lengths: Lengths = {
      min: shortest < min ? min : 0,
      max: max !== undefined && longest > max && max < LONGEST_TEXT ? max : undefined,
    };
    if (lengths.min === 0 && lengths.max === undefined) return start;
    return yield* conjunction(nfa, [{ start }], lengths, work);
  }
  function* made(rules: TextRules, path: string): Steps<Fragment> {
    try {
      const start = yield* withLengths(rules);
      return make.later(function* (next) {
        try {
          return builder.byte(0x22, 0x22, yield* spell(start, builder.byte(0x22, 0x22, next)));
        } catch (error) {
          throw named(error, path);
        }
      });
    } catch (error) {
      throw named(error, path);
    }
  }
  const isPlain = ({ patterns, formats }: TextRules): boolean => patterns.length + formats.length === 0;

  return {
    *fragment(rules, path) {
      const { min, max } = rules;
      if (isPlain(rules)) return min === 0 && max === undefined ? json.string : json.characters(min, max);
      const key = JSON.stringify([rules.patterns.map(({ source }) => source), rules.formats, min, max]);
      // As a rule it stands once in the grammar, however many properties are such strings.
      const known = strings.get(key) ?? make.ruleInSteps(() => made(rules, path));
      strings.set(key, known);
      return known;
    },
    *allows(rules, text) {
      const { min, max = Number.POSITIVE_INFINITY } = rules;
      const { length } = [...text];
      if (length < min || length > max) return false;
      return isPlain(rules) || meets(nfa, yield* conditionsOf(rules), text, work);
    },
    *isNever(rules) {
      const { min, max = Number.POSITIVE_INFINITY } = rules;
      if (min > max || isPlain(rules)) return min > max;
      return lengthsOf(nfa, yield* withLengths(rules), work).shortest === Number.POSITIVE_INFINITY;
    },
  };

  /** Spells an automaton over characters in the bytes of JSON. */
  function* spell(start: number, next: State): Steps<State> {
    const made = new Map<number, State>([[nfa.end, next]]);
    const due: number[] = [];
    const stateOf = (of: number): State => {
      let state = made.get(of);
      if (state === undefined) {
        state = builder.state();
        made.set(of, state);
        due.push(of);
      }
      return state;
    };
    const first = stateOf(start);
    const read = (from: State, of: number): void => {
      const reads = nfa.reads[of] as readonly (CharacterSet | number)[];
      for (let i = 0; i < reads.length; i += 2) {
        json.read(from, reads[i] as CharacterSet, stateOf(reads[i + 1] as number));
      }
    };
    for (let of = due.pop(); of !== undefined; of = due.pop()) {
      if (work.takeTurn()) yield;
      const from = made.get(of) as State;
      read(from, of);
      for (const to of nfa.jumps[of] as readonly number[]) {
        // What only reads a character needs no jump.
        if (to !== nfa.end && nfa.jumps[to]?.length === 0 && nfa.reads[to]?.length === 2) read(from, to);
        else builder.jump(from, stateOf(to));
      }
    }
    return first;
  }
}
