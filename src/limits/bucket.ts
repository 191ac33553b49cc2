// Token buckets as numbers: what one holds at a time, and what is left after something was taken from it.

/** What a key may use in a minute; of what is absent, as much as it likes. */
export interface Limits {
  readonly requests?: number | undefined;
  readonly tokens?: number | undefined;
}
export const KINDS = ["requests", "tokens"] as const satisfies readonly (keyof Limits)[];
export type Kind = (typeof KINDS)[number];
export type Amounts = Readonly<Record<Kind, number>>;

/** What a bucket held at a time, in milliseconds since 1970. */
export interface Bucket {
  readonly level: number;
  readonly at: number;
}
export type Buckets = Readonly<Partial<Record<Kind, Bucket>>>;

/** How it stands with one limit. */
export interface Standing {
  readonly limit: number;
  /** Whole ones that could be taken now. */
  readonly remaining: number;
  /** Until all of the limit could be taken again. */
  readonly resetMs: number;
}

export interface Verdict {
  readonly standings: Readonly<Partial<Record<Kind, Standing>>>;
  /** Why nothing was taken; `waitMs` is Infinity for more than the bucket can ever hold. Undefined: it was taken. */
  readonly refused: { readonly kind: Kind; readonly waitMs: number } | undefined;
}

const MINUTE_MS = 60_000;

/** A bucket holds a minute's worth when it is full, which it is at first, and fills up at the limit's pace. */
function levelAt(bucket: Bucket | undefined, limit: number, now: number): number {
  if (!bucket) return limit;
  const passed = Math.max(0, now - bucket.at);
  return Math.min(limit, bucket.level + (passed * limit) / MINUTE_MS);
}

/**
 * Takes all of the amounts, or nothing. A negative amount is given back.
 * @param now milliseconds since 1970
 * @returns the buckets of the limits there are, and what to tell the client
 */
export function take(
  before: Buckets,
  limits: Limits,
  amounts: Amounts,
  now: number,
): { readonly buckets: Buckets; readonly verdict: Verdict } {
  const limited = KINDS.flatMap((kind) => {
    const limit = limits[kind];
    return limit === undefined ? [] : [{ kind, limit, level: levelAt(before[kind], limit, now) }];
  });
  const short = limited.find(({ kind, level }) => level < amounts[kind]);
  const refused = short && {
    kind: short.kind,
    waitMs:
      amounts[short.kind] > short.limit
        ? Number.POSITIVE_INFINITY
        : Math.ceil(((amounts[short.kind] - short.level) * MINUTE_MS) / short.limit),
  };
  const buckets: Partial<Record<Kind, Bucket>> = {};
  const standings: Partial<Record<Kind, Standing>> = {};
  for (const { kind, limit, level } of limited) {
    const left = refused ? level : Math.min(limit, level - amounts[kind]);
    buckets[kind] = { level: left, at: now };
    standings[kind] = {
      limit,
      remaining: Math.max(0, Math.floor(left)),
      resetMs: Math.ceil(((limit - left) * MINUTE_MS) / limit),
    };
  }
  return { buckets, verdict: { standings, refused } };
}
