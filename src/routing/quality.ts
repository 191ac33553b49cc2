// How good variants are, from their recorded results on the same items: what a decision compares, and how sure it can be of it.

/** One variant's recorded results. Entries of two variants at the same index are the same item. */
export interface Recorded {
  readonly variant: string;
  /** HellaSwag: whether each item was right by acc_norm. */
  readonly hellaswag?: readonly boolean[] | undefined;
  /** Perplexity: log-likelihood (natural) and words of each page. */
  readonly pages?: readonly { readonly logLikelihood: number; readonly words: number }[] | undefined;
}

/** A difference on the same items, with its standard error. */
export interface Paired {
  readonly difference: number;
  readonly se: number;
}

export type Measure = "hellaswag" | "perplexity";

export interface Quality {
  /** acc_norm in percent, with its standard error. */
  readonly accNorm: number | undefined;
  readonly accNormSe: number | undefined;
  readonly wordPerplexity: number | undefined;
  /** To the base, in points of acc_norm; higher is better. Undefined without common items. */
  readonly toBase: Paired | undefined;
  /**
   * What a decision ranks by, for each measure: the base's score plus the lower bound, one standard error below, of the paired difference
   * to it. The best of many noisy scores is too good to be true; a bound that counts the noise is not. Higher is better: points of
   * acc_norm, or the negative logarithm of the word perplexity.
   */
  readonly bound: Readonly<Record<Measure, number | undefined>>;
}

export interface QualityBook {
  of(variant: string): Quality | undefined;
  /** How much better `a` is than `b`, in the units of `Quality.bound`; undefined when they share no items. */
  compare(a: string, b: string, measure: Measure): Paired | undefined;
}

type Pairs = Map<string, Paired | undefined>;

/** @param base the variant that differences are taken to */
export function createQualityBook(results: readonly Recorded[], base: string): QualityBook {
  const byVariant = new Map(results.map((result) => [result.variant, result]));
  // Worked out when they are first asked for: of all pairs, few ever are.
  const pairs = { hellaswag: new Map<string, Pairs>(), perplexity: new Map<string, Pairs>() };
  const compare: QualityBook["compare"] = (a, b, measure) => {
    let ofA = pairs[measure].get(a);
    if (!ofA) {
      ofA = new Map();
      pairs[measure].set(a, ofA);
    }
    if (!ofA.has(b)) ofA.set(b, COMPARISONS[measure](byVariant.get(a), byVariant.get(b)));
    return ofA.get(b);
  };
  const qualities = new Map(
    results.map((result) => [
      result.variant,
      describe(result, byVariant.get(base), (m) => compare(result.variant, base, m)),
    ]),
  );
  return { of: (variant) => qualities.get(variant), compare };
}

function describe(
  { hellaswag, pages }: Recorded,
  base: Recorded | undefined,
  toBase: (measure: Measure) => Paired | undefined,
): Quality {
  const accNorm = hellaswag?.length ? percentOf(hellaswag) : undefined;
  // With n - 1, as lm-evaluation-harness gives it.
  const accNormSe =
    accNorm !== undefined && hellaswag && hellaswag.length > 1
      ? Math.sqrt((accNorm * (100 - accNorm)) / (hellaswag.length - 1))
      : undefined;
  const logLikelihood = pages?.length ? meanLogLikelihood(pages) : undefined;
  const bound = (measure: Measure, baseScore: number | undefined, unpaired: number | undefined): number | undefined => {
    const paired = toBase(measure);
    return paired && baseScore !== undefined ? baseScore + paired.difference - paired.se : unpaired;
  };
  return {
    accNorm,
    accNormSe,
    wordPerplexity: logLikelihood === undefined ? undefined : Math.exp(-logLikelihood),
    toBase: toBase("hellaswag"),
    bound: {
      hellaswag: bound(
        "hellaswag",
        base?.hellaswag?.length ? percentOf(base.hellaswag) : undefined,
        accNorm === undefined ? undefined : accNorm - (accNormSe ?? 0),
      ),
      perplexity: bound("perplexity", base?.pages?.length ? meanLogLikelihood(base.pages) : undefined, logLikelihood),
    },
  };
}

type Pages = NonNullable<Recorded["pages"]>;
const percentOf = (items: readonly boolean[]): number => (100 * items.filter(Boolean).length) / items.length;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
/** Per word: the negative logarithm of the word perplexity. */
const meanLogLikelihood = (pages: Pages): number =>
  sum(pages.map((page) => page.logLikelihood)) / sum(pages.map((page) => page.words));

const COMPARISONS: Record<Measure, (a: Recorded | undefined, b: Recorded | undefined) => Paired | undefined> = {
  /** Points; the standard error of a mean of differences, each -1, 0 or 1. */
  hellaswag(a, b) {
    if (!a?.hellaswag || !b?.hellaswag || a.hellaswag.length !== b.hellaswag.length || a.hellaswag.length < 2) return;
    const differences = a.hellaswag.map((right, i) => Number(right) - Number(b.hellaswag?.[i]));
    const n = differences.length;
    const mean = sum(differences) / n;
    const variance = sum(differences.map((d) => (d - mean) ** 2)) / (n - 1);
    return { difference: 100 * mean, se: 100 * Math.sqrt(variance / n) };
  },
  /** Nats a word; the standard error of a ratio of sums over pages, linearized (Cochran, Sampling Techniques, 1977, section 6.4). */
  perplexity(a, b) {
    if (!a?.pages || !b?.pages || a.pages.length !== b.pages.length || a.pages.length < 2) return;
    const n = a.pages.length;
    const pairs = a.pages.map(({ logLikelihood, words }, i) => ({
      words,
      gain: logLikelihood - (b.pages?.[i]?.logLikelihood ?? 0),
    }));
    const words = sum(pairs.map((pair) => pair.words));
    const difference = sum(pairs.map((pair) => pair.gain)) / words;
    const squares = sum(pairs.map((pair) => (pair.gain - difference * pair.words) ** 2));
    return { difference, se: Math.sqrt((n / (n - 1)) * squares) / words };
  },
};
