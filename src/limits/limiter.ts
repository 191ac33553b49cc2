// Holds requests to their keys' limits. A key without limits costs nothing: its requests call nobody.
import type { Amounts, Limits, Verdict } from "./bucket.ts";
import { RateLimitError } from "./errors.ts";
import { formatDuration } from "./headers.ts";

/** What keeps the buckets of one key. */
export interface LimitStore {
  take(limits: Limits, amounts: Amounts): Promise<Verdict>;
}

/** As `Slots`, in the object of one key. */
export interface BackgroundLine {
  join(id: string): Promise<boolean>;
  enter(id: string): Promise<boolean>;
  leave(id: string): Promise<string[]>;
}

export interface LimiterOptions {
  /** Finds a key's buckets, anew for each event: in Workers, a stub belongs to the event in which it was made. */
  storeOf(keyId: string): LimitStore;
  /** Told when the buckets cannot be had; the request then goes on without limits. */
  onAway(error: unknown, requestId: string): void;
}

export interface AdmitOptions {
  readonly keyId: string;
  readonly limits: Limits;
  readonly requestId: string;
  /** Told how it stands with the limits, last after the last call. */
  onVerdict(verdict: Verdict): void;
  /** Keeps the event open for what the reply does not wait for. */
  waitUntil(promise: Promise<unknown>): void;
}

/** A request that was let in. */
export interface Admission {
  /**
   * Takes what the request may use at most: the prompt's tokens and the longest replies.
   * @throws RateLimitError `tokens` or `too_large`
   */
  reserve(tokens: number): Promise<void>;
  /** To be called once, in the end: gives back what was reserved and not used. */
  settle(usedTokens: number): void;
}

export interface Limiter {
  /** Takes one request. @throws RateLimitError `requests` */
  admit(options: AdmitOptions): Promise<Admission>;
}

/** A request waits for its key's buckets no longer than this. */
const PATIENCE_MS = 1_000;
const UNLIMITED: Admission = { reserve: async () => {}, settle() {} };

export function createLimiter({ storeOf, onAway }: LimiterOptions): Limiter {
  return {
    async admit({ keyId, limits, requestId, onVerdict, waitUntil }) {
      if (limits.requests === undefined && limits.tokens === undefined) return UNLIMITED;
      const take = async (amounts: Amounts): Promise<Verdict | undefined> => {
        try {
          return await within(PATIENCE_MS, storeOf(keyId).take(limits, amounts));
        } catch (error) {
          onAway(error, requestId);
          return undefined;
        }
      };
      const takeOrRefuse = async (amounts: Amounts): Promise<boolean> => {
        const verdict = await take(amounts);
        if (!verdict) return false;
        onVerdict(verdict);
        if (verdict.refused) throw refusal(verdict.refused, limits, amounts);
        return true;
      };
      await takeOrRefuse({ requests: 1, tokens: 0 });
      let reserved = 0;
      return {
        async reserve(tokens) {
          if (limits.tokens !== undefined && (await takeOrRefuse({ requests: 0, tokens }))) reserved = tokens;
        },
        settle(usedTokens) {
          const unused = reserved - usedTokens;
          if (unused > 0) waitUntil(take({ requests: 0, tokens: -unused }));
        },
      };
    },
  };
}

function refusal(
  { kind, waitMs }: NonNullable<Verdict["refused"]>,
  limits: Limits,
  { tokens }: Amounts,
): RateLimitError {
  const limit = limits[kind];
  if (waitMs === Number.POSITIVE_INFINITY) {
    return new RateLimitError(
      "too_large",
      `This request may use ${tokens} tokens, prompt and longest reply together, but this API key has a limit of ${limit} tokens a minute. Shorten the prompt, or ask for fewer tokens or choices.`,
    );
  }
  const asked = kind === "tokens" ? ` This request may use ${tokens}.` : "";
  return new RateLimitError(
    kind,
    `This API key has reached its limit of ${limit} ${kind} a minute.${asked} Try again in ${formatDuration(waitMs)}.`,
    waitMs,
  );
}

async function within<T>(milliseconds: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
