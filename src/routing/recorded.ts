// Recorded scores as routing needs them: which items were right, and the log-likelihood of each page.
import { createQualityBook, type QualityBook, type Recorded } from "./quality.ts";

/** Results of one variant on one task, by item number. */
interface Results {
  readonly results: ReadonlyMap<number, Readonly<Record<string, unknown>>>;
}

/** @param recorded the recorded score of a variant on a task; undefined where there is none */
export function qualitiesOf(
  recorded: { of(variant: string, task: string): Results | undefined },
  variants: Iterable<string>,
): QualityBook {
  const ids = [...variants];
  let book: QualityBook | undefined;
  // Thousands of results are read when the first decision needs them, not when an isolate starts.
  const read = (): QualityBook => {
    book ??= createQualityBook(
      ids.map((variant) => resultsOf(variant, recorded.of(variant, "hellaswag"), recorded.of(variant, "wikitext"))),
      ids[0] ?? "",
    );
    return book;
  };
  return { of: (variant) => read().of(variant), compare: (a, b, measure) => read().compare(a, b, measure) };
}

function resultsOf(variant: string, hellaswag: Results | undefined, wikitext: Results | undefined): Recorded {
  return {
    variant,
    hellaswag: hellaswag && new Map([...hellaswag.results].map(([item, result]) => [item, result.acc_norm === 1])),
    pages:
      wikitext &&
      new Map(
        [...wikitext.results].map(([item, { logLikelihood, words }]) => [
          item,
          { logLikelihood: Number(logLikelihood), words: Number(words) },
        ]),
      ),
  };
}
