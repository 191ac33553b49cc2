// Keeps what messages spell of special tokens apart from what a template says: while a template renders, the character that such a token
// begins with is another one in messages, its shadow, which no text has. One character stands for one, so that lengths and places stay.

export interface Shadows {
  /** A text in which no special token begins. */
  hide(text: string): string;
  /** The text itself, of what was hidden or of any part of it. */
  show(text: string): string;
}

/** Unicode's private-use characters: those that one unit of UTF-16 holds, and those that two hold. */
const PRIVATE = [
  [0xe000, 0xf8ff],
  [0xf0000, 0xffffd],
] as const;
const ANY_PRIVATE = /[\ue000-\uf8ff\u{f0000}-\u{ffffd}]/gu;
/** Tokens that begin with another character, as a word does, are hidden where they are spelled in full. */
const SIGN = /^[^\p{L}\p{N}\s"\\]/u;

/**
 * @param specials spellings of the special tokens
 * @param texts what has private-use characters of its own: messages and template
 */
export function createShadows(specials: readonly string[], texts: readonly string[]): Shadows {
  const taken = new Set(texts.flatMap((text) => text.match(ANY_PRIVATE) ?? []));
  const shadows = new Map<string, string>();
  const firsts = new Map<string, string>();
  for (const special of specials) {
    const [first = ""] = special;
    if (first === "" || shadows.has(first)) continue;
    const shadow = freeCharacter(PRIVATE[first.length - 1] as (typeof PRIVATE)[number], taken);
    taken.add(shadow);
    shadows.set(first, shadow);
    firsts.set(shadow, first);
  }
  const spelled = anyOf(specials.map((special) => (SIGN.test(special) ? firstOf(special) : special)));
  const hidden = anyOf([...firsts.keys()]);
  return {
    hide: (text) =>
      text.replace(spelled, (found) => (shadows.get(firstOf(found)) ?? "") + found.slice(firstOf(found).length)),
    show: (text) => text.replace(hidden, (shadow) => firsts.get(shadow) ?? ""),
  };
}

const firstOf = (text: string): string => String.fromCodePoint(text.codePointAt(0) ?? 0);

function freeCharacter([first, last]: readonly [number, number], taken: ReadonlySet<string>): string {
  for (let code = first; code <= last; code++) {
    const character = String.fromCodePoint(code);
    if (!taken.has(character)) return character;
  }
  throw new RangeError("the messages have every private-use character of Unicode");
}

/** Matches any of these texts, the longest first, with the flag `g`. */
export function anyOf(texts: readonly string[]): RegExp {
  const escaped = [...new Set(texts)]
    .filter((text) => text !== "")
    .sort((a, b) => b.length - a.length)
    .map((text) => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  return new RegExp(escaped.length > 0 ? escaped.join("|") : "(?!)", "g");
}
