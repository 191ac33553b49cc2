// WikiText-2 (Merity et al., arXiv 1609.07843) by page: perplexity per word and byte of the original page, from the log-likelihood of
// the detokenized one. As lm-evaluation-harness's task `wikitext`, version 2.0: lm_eval/tasks/wikitext/preprocess_wikitext.py.
import { SPACE } from "../python.ts";
import { defineTask } from "../task.ts";
import { perTextMetrics, textItem, WINDOW } from "./text.ts";

export const wikitext = defineTask<string>({
  id: "wikitext",
  title: `WikiText-2 test by page: word and byte perplexity, windows of ${WINDOW}`,
  version: 1,
  source: "wikitext2",
  metrics: perTextMetrics,
  documents: pagesOf,
  item: (page, tools) => textItem(page, detokenize(page), tools),
});

/** Pages begin at ` = Title = ` lines; what is before the first belongs to it, and the line break before a title to no page. */
export function pagesOf(text: string): string[] {
  const starts = [...text.matchAll(/^ = [^=\n](?:.*[^=\n])? = $/gm)].map(({ index }) => index);
  return starts.map((start, i) => text.slice(i === 0 ? 0 : start, (starts[i + 1] ?? text.length + 1) - 1));
}

const S = `[${SPACE}]*`;
/** In the harness's order, which matters; the second pattern has slashes in it there too. */
const STEPS: readonly (readonly [string | RegExp, string])[] = [
  ["s '", "s'"],
  [/\/' [0-9]\//g, "/'[0-9]/"],
  [" @-@ ", "-"],
  [" @,@ ", ","],
  [" @.@ ", "."],
  [" : ", ": "],
  [" ; ", "; "],
  [" . ", ". "],
  [" ! ", "! "],
  [" ? ", "? "],
  [" , ", ", "],
  [new RegExp(`\\(${S}([^)]*?)${S}\\)`, "g"), "($1)"],
  [new RegExp(`\\[${S}([^\\]]*?)${S}\\]`, "g"), "[$1]"],
  [new RegExp(`{${S}([^}]*?)${S}}`, "g"), "{$1}"],
  [new RegExp(`"${S}([^"]*?)${S}"`, "g"), '"$1"'],
  [new RegExp(`'${S}([^']*?)${S}'`, "g"), "'$1'"],
  ["= = = =", "===="],
  ["= = =", "==="],
  ["= =", "=="],
  [" \u00b0 ", "\u00b0"],
  [" \n", "\n"],
  ["\n ", "\n"],
  [" N ", " 1 "],
  [" 's", "'s"],
];

/** The page as it was before WikiText's authors split its tokens (`wikitext_detokenizer`). */
export const detokenize = (page: string): string => STEPS.reduce((text, [what, by]) => text.replaceAll(what, by), page);
