// Franken expressions: which layers a variant runs, in which order. Grammar, with white space anywhere between its signs:
//   expression = item {"," item}
//   item       = (layers | "(" expression ")") ["x" count]
//   layers     = first ["-" last] ["a" | "m"]
// `14-18x2` runs each layer twice before the next, as Franken-LLaMA's configurations do: 14 14 15 15 …; `(14-18)x2` runs all of them and
// then all of them again. `a` runs just the attention of the layers, `m` just their MLP.

import { UserError } from "../../formats/error.ts";
import type { Slot } from "../../src/variants/index.ts";

/** As many as a recipe may have. */
const MOST_SLOTS = 1024;

/**
 * @param layers of the model
 * @throws UserError that says where the expression is wrong, or which layer is not there
 */
export function parseExpression(text: string, layers: number): Slot[] {
  let at = 0;
  const fail = (problem: string): never => {
    throw new UserError(`franken expression "${text}", at ${at + 1}: ${problem}`);
  };
  /** Takes what a pattern finds here, and white space after it. */
  const take = (pattern: RegExp): string | undefined => {
    const found = new RegExp(`(?:${pattern.source})\\s*`, "y");
    found.lastIndex = at;
    const match = found.exec(text)?.[0];
    if (match !== undefined) at += match.length;
    return match?.trim();
  };
  const number = (what: string): number => Number(take(/\d{1,9}/) ?? fail(`${what} should come here`));

  function range(): Slot[] {
    const start = at;
    const first = number("a layer's number, or (,");
    const last = take(/-/) === undefined ? first : number("the last layer of a range");
    const part = take(/[am]/);
    const problem =
      last >= layers
        ? `there is no layer ${last}: the model has 0 to ${layers - 1}`
        : last < first
          ? `${first}-${last} goes down; write the layers one by one, as ${first},${last}`
          : undefined;
    if (problem) {
      at = start;
      fail(problem);
    }
    return Array.from({ length: last - first + 1 }, (_, i) => ({
      layer: first + i,
      attn: part !== "m",
      mlp: part !== "a",
    }));
  }

  function item(): Slot[] {
    const group = take(/\(/) !== undefined;
    const slots = group ? expression() : range();
    if (group) take(/\)/) ?? fail("a ) should come here");
    const start = at;
    const count = take(/x/) === undefined ? 1 : number("a count");
    if (count === 0 || count * slots.length > MOST_SLOTS) {
      at = start;
      fail(count === 0 ? "x0 runs nothing: leave it out" : `more than ${MOST_SLOTS} layers in all`);
    }
    const times = Array.from({ length: count });
    return group ? times.flatMap(() => slots) : slots.flatMap((slot) => times.map(() => slot));
  }

  function expression(): Slot[] {
    const slots = item();
    while (take(/,/) !== undefined) {
      slots.push(...item());
      if (slots.length > MOST_SLOTS) fail(`more than ${MOST_SLOTS} layers in all`);
    }
    return slots;
  }

  take(/\s*/);
  const slots = expression();
  if (at < text.length) fail(`"${text[at]}" should not be here`);
  return slots;
}
