// How good variants are, from their recorded results on the same items: what a decision compares, and how sure it can be of it.

export interface Page {
  readonly logLikelihood: number;
  readonly words: number;
}

/** One variant's recorded results by item number; the same number is the same item. */
export interface Recorded {
  readonly variant: string;
  /** HellaSwag: whether each item was right by acc_norm. */
  readonly hellaswag?: ReadonlyMap<number, boolean> | undefined;
  /** Perplexity: log-likelihood (natural) and words of each page. */
  readonly pages?: ReadonlyMap<number, Page> | undefined;
}

/** A difference on the same items, with its standard error. */
export interface Paired {
  readonly difference: number;
  readonly se: number;
}

export type Measure = "hellaswag" | "perplexity";
export const MEASURES: readonly Measure[] = ["hellaswag", "perplexity"];

/** acc_norm of an answer drawn at random from HellaSwag's four endings, in percent. */
export const CHANCE = 25;
/** Text of this many times the base's word perplexity is worth nothing. */
const WORTHLESS = 4;

export interface Quality {
  /** acc_norm in percent, with its standard error. */
  readonly accNorm: number | undefined;
  readonly accNormSe: number | undefined;
  readonly wordPerplexity: number | undefined;
  /** To the base, in points of acc_norm; higher is better. Undefined without common items. */
  readonly toBase: Paired | undefined;
  /**
   * What is left of the base's quality by each measure, 0 to 1. HellaSwag: the share of the base's acc_norm
   * above chance. Perplexity: log(ppl / base's), of the logarithm at which text is worth nothing. A variant
   * that leaves parts of the base out and scores above it was lucky: it counts as the base.
   */
  readonly shares: Readonly<Record<Measure, number | undefined>>;
}

/**
 * What an answer of a variant is worth, 0 to 1 (the base): its share by one measure, or by the measure that is
 * worst for it, because HellaSwag alone does not tell broken text from simple text.
 * @returns undefined when nothing is recorded
 */
export function worthOf(quality: Quality | undefined, measure?: Measure): number | undefined {
  if (!quality) return undefined;
  if (measure) return quality.shares[measure];
  const shares = MEASURES.flatMap((m) => quality.shares[m] ?? []);
  return shares.length > 0 ? Math.min(...shares) : undefined;
}

/**
 * Whether no recorded measure tells two variants apart: each paired difference is within its own standard error
 * (the one-standard-error rule of Breiman, Friedman, Olshen and Stone, Classification and Regression Trees, 1984,
 * section 3.4.3).
 */
export function isTied(book: QualityBook, a: string, b: string, measure?: Measure): boolean {
  const pairs = (measure ? [measure] : MEASURES).flatMap((m) => book.compare(a, b, m) ?? []);
  return pairs.length > 0 && pairs.every(({ difference, se }) => Math.abs(difference) <= se);
}

export interface QualityBook {
  of(variant: string): Quality | undefined;
  /** How much better `a` is than `b`, in points of acc_norm or nats a word; undefined when they share no items. */
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
  const accNorm = hellaswag?.size ? percentOf(hellaswag) : undefined;
  // With n - 1, as lm-evaluation-harness gives it.
  const accNormSe =
    accNorm !== undefined && hellaswag && hellaswag.size > 1
      ? Math.sqrt((accNorm * (100 - accNorm)) / (hellaswag.size - 1))
      : undefined;
  const logLikelihood = pages?.size ? meanLogLikelihood(pages) : undefined;
  return {
    accNorm,
    accNormSe,
    wordPerplexity: logLikelihood === undefined ? undefined : Math.exp(-logLikelihood),
    toBase: toBase("hellaswag"),
    shares: {
      hellaswag: shareAboveChance(accNorm, base?.hellaswag, toBase("hellaswag")),
      perplexity: shareOfPerplexity(logLikelihood, base?.pages, toBase("perplexity")),
    },
  };
}

const clamped = (share: number): number => Math.min(1, Math.max(0, share));

function shareAboveChance(
  accNorm: number | undefined,
  base: ReadonlyMap<number, boolean> | undefined,
  paired: Paired | undefined,
): number | undefined {
  if (accNorm === undefined || !base?.size) return undefined;
  const whole = percentOf(base) - CHANCE;
  const points = paired ? whole + paired.difference : accNorm - CHANCE;
  return whole > 0 ? clamped(points / whole) : undefined;
}

function shareOfPerplexity(
  logLikelihood: number | undefined,
  base: ReadonlyMap<number, Page> | undefined,
  paired: Paired | undefined,
): number | undefined {
  if (logLikelihood === undefined || !base?.size) return undefined;
  const nats = paired ? -paired.difference : meanLogLikelihood(base) - logLikelihood;
  return clamped(1 - nats / Math.log(WORTHLESS));
}

const percentOf = (items: ReadonlyMap<number, boolean>): number =>
  (100 * [...items.values()].filter(Boolean).length) / items.size;
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
/** Per word: the negative logarithm of the word perplexity. */
const meanLogLikelihood = (pages: ReadonlyMap<number, Page>): number =>
  sum([...pages.values()].map((page) => page.logLikelihood)) / sum([...pages.values()].map((page) => page.words));

/** What two variants have results of; undefined with less than two items, of which nothing can be said. */
function shared<T>(a: ReadonlyMap<number, T> | undefined, b: ReadonlyMap<number, T> | undefined): [T, T][] | undefined {
  const pairs = [...(a ?? [])].flatMap(([item, own]): [T, T][] => {
    const other = b?.get(item);
    return other === undefined ? [] : [[own, other]];
  });
  return pairs.length < 2 ? undefined : pairs;
}

const COMPARISONS: Record<Measure, (a: Recorded | undefined, b: Recorded | undefined) => Paired | undefined> = {
  /** Points; the standard error of a mean of differences, each -1, 0 or 1. */
  hellaswag(a, b) {
    const differences = shared(a?.hellaswag, b?.hellaswag)?.map(([right, other]) => Number(right) - Number(other));
    if (!differences) return undefined;
    const n = differences.length;
    const mean = sum(differences) / n;
    const variance = sum(differences.map((d) => (d - mean) ** 2)) / (n - 1);
    return { difference: 100 * mean, se: 100 * Math.sqrt(variance / n) };
  },
  /** Nats a word; the standard error of a ratio of sums over pages, linearized (Cochran, Sampling Techniques, 1977, section 6.4). */
  perplexity(a, b) {
    const pages = shared(a?.pages, b?.pages)?.map(([own, other]) => ({
      words: own.words,
      gain: own.logLikelihood - other.logLikelihood,
    }));
    if (!pages) return undefined;
    const n = pages.length;
    const words = sum(pages.map((page) => page.words));
    const difference = sum(pages.map((page) => page.gain)) / words;
    const squares = sum(pages.map((page) => (page.gain - difference * page.words) ** 2));
    return { difference, se: Math.sqrt((n / (n - 1)) * squares) / words };
  },
};
