// Paragraphs for TriviaQA's questions, from an extract of Wikipedia: for each question the one that
// shares most of its rare words and holds one of its answers.
import { gunzipSync } from "node:zlib";

export interface Question {
  readonly question: string;
  readonly aliases: readonly string[];
}

/** Characters of a paragraph. */
const LENGTH = { least: 200, most: 1500 };
/** A word is rare that at most one paragraph in so many has. */
const RARE = 50;
/** Rare words that a question and its paragraph share at least. */
const LEAST_SHARED = 2;
const QUESTIONS = 1200;

const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
const spaced = (text: string): string => ` ${wordsOf(text).join(" ")} `;

/**
 * @param extract gzip of articles, a paragraph a line
 * @returns the first questions that there is a paragraph for, each with it as `context`
 */
export function openBook(
  questions: readonly Question[],
  extract: Uint8Array,
): (Question & { readonly context: string })[] {
  const paragraphs = gunzipSync(extract)
    .toString("utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter(({ length }) => length >= LENGTH.least && length <= LENGTH.most);
  const texts = paragraphs.map(spaced);
  const find = rareWords(texts);
  const found: (Question & { readonly context: string })[] = [];
  for (const { question, aliases } of questions) {
    const place = bestOf(question, aliases, texts, find);
    if (place !== undefined) found.push({ question, aliases, context: paragraphs[place] as string });
    if (found.length === QUESTIONS) break;
  }
  return found;
}

/** Which texts have a word, for the words that few have. */
function rareWords(texts: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const places = new Map<string, number[]>();
  for (const [place, text] of texts.entries()) {
    for (const word of new Set(text.trim().split(" "))) {
      const known = places.get(word);
      if (known) known.push(place);
      else places.set(word, [place]);
    }
  }
  for (const [word, { length }] of places) if (length * RARE > texts.length) places.delete(word);
  return places;
}

/** Most shared words first, then the shortest paragraph, then the first. */
function bestOf(
  question: string,
  aliases: readonly string[],
  texts: readonly string[],
  find: ReadonlyMap<string, readonly number[]>,
): number | undefined {
  const asked = spaced(question);
  // An answer that the question holds, or a bare number, would be found in any paragraph.
  const answers = aliases
    .map(spaced)
    .filter((alias) => alias.length > 5 && !/^[ \d]+$/.test(alias) && !asked.includes(alias));
  const shared = new Map<number, number>();
  for (const word of new Set(asked.trim().split(" "))) {
    for (const place of find.get(word) ?? []) shared.set(place, (shared.get(place) ?? 0) + 1);
  }
  const lengthOf = (place: number): number => (texts[place] as string).length;
  let best: { readonly place: number; readonly count: number } | undefined;
  for (const [place, count] of shared) {
    if (count < LEAST_SHARED) continue;
    if (best) {
      const order = best.count - count || lengthOf(place) - lengthOf(best.place) || place - best.place;
      if (order > 0) continue;
    }
    if (answers.some((alias) => (texts[place] as string).includes(alias))) best = { place, count };
  }
  return best?.place;
}
