// Which lighter variant goes on with an answer that falls behind its deadline. Pure: the caller has the clock and does the switch.

/** A variant that could go on: its KV caches are among those of the answer so far. */
export interface Lighter {
  readonly variant: string;
  /** Time of a token, in the same unit as the current variant's. */
  readonly stepMs: number;
  /** What ranks it: higher is better. Undefined where nothing is recorded. */
  readonly quality: number | undefined;
}

export interface Progress {
  /** Milliseconds that the budget allows, and how many of them have gone by. */
  readonly allowedMs: number;
  readonly elapsedMs: number;
  /** Measured milliseconds a token, of late. */
  readonly tpotMs: number;
  /** Tokens that may still come. */
  readonly tokensLeft: number;
  /** Foretold time of a token under the current variant, as in `Lighter`. */
  readonly stepMs: number;
  readonly lighter: readonly Lighter[];
}

/** A switch that saves less than this share of the time that is left is not worth its loss. */
const LEAST_SAVED = 0.05;

/**
 * The best of the lighter variants with which the answer is foretold to end in time; the fastest where none is. What was measured of
 * the current variant holds for the others in proportion to what was foretold.
 * @returns undefined while the answer is in time, or when no variant would help
 */
export function downshift({ allowedMs, elapsedMs, tpotMs, tokensLeft, stepMs, lighter }: Progress): string | undefined {
  const leftMs = allowedMs - elapsedMs;
  if (tokensLeft * tpotMs <= leftMs) return undefined;
  const faster = lighter.filter((entry) => entry.stepMs <= stepMs * (1 - LEAST_SAVED));
  const inTime = faster.filter((entry) => tokensLeft * tpotMs * (entry.stepMs / stepMs) <= leftMs);
  const [best] = inTime.length > 0 ? inTime.toSorted(byQuality) : faster.toSorted((a, b) => a.stepMs - b.stepMs);
  return best?.variant;
}

/** Tokens whose times make a measurement. */
const MEASURED = 4;

export interface FollowerOptions {
  readonly allowedMs: number;
  /** Milliseconds of them that had gone by at `startedAt`. */
  readonly elapsedMs: number;
  readonly startedAt: number;
  /** Tokens that the answer is foretold to have. */
  readonly expectedTokens: number;
  readonly variant: string;
  /** What could go on from a variant, and the foretold time of its own tokens. */
  lighterThan(variant: string): Pick<Progress, "stepMs" | "lighter">;
}

export interface Follower {
  /** A token came. @returns the variant to switch to, if any; then nothing more until `switched` is called */
  token(now: number): string | undefined;
  /** The answer goes on with this variant from here on. */
  switched(variant: string, now: number): void;
}

/** Follows one answer against its deadline. */
export function followDeadline(options: FollowerOptions): Follower {
  const { allowedMs, elapsedMs, startedAt, expectedTokens, lighterThan } = options;
  let { variant } = options;
  let tokens = 0;
  let asked = false;
  let since: { at: number; tokens: number } | undefined;
  return {
    token(now) {
      tokens++;
      since ??= { at: now, tokens };
      const measured = tokens - since.tokens;
      if (asked || measured < MEASURED) return undefined;
      const next = downshift({
        allowedMs,
        elapsedMs: elapsedMs + now - startedAt,
        tpotMs: (now - since.at) / measured,
        tokensLeft: Math.max(0, expectedTokens - tokens),
        ...lighterThan(variant),
      });
      asked = next !== undefined;
      return next;
    },
    switched(to, now) {
      variant = to;
      asked = false;
      since = { at: now, tokens };
    },
  };
}

const byQuality = (a: Lighter, b: Lighter): number =>
  (b.quality ?? Number.NEGATIVE_INFINITY) - (a.quality ?? Number.NEGATIVE_INFINITY) || a.stepMs - b.stepMs;
