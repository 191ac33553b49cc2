// How a reply tells its client where it stands with its key's limits, in OpenAI's headers.
import { KINDS, type Verdict } from "./bucket.ts";

export const LIMIT_HEADERS: string[] = KINDS.flatMap((kind) => [
  `x-ratelimit-limit-${kind}`,
  `x-ratelimit-remaining-${kind}`,
  `x-ratelimit-reset-${kind}`,
]);

/** Names and values, of the limits that there are. */
export const limitHeaders = ({ standings }: Verdict): [name: string, value: string][] =>
  KINDS.flatMap((kind): [string, string][] => {
    const standing = standings[kind];
    if (!standing) return [];
    return [
      [`x-ratelimit-limit-${kind}`, String(standing.limit)],
      [`x-ratelimit-remaining-${kind}`, String(standing.remaining)],
      [`x-ratelimit-reset-${kind}`, formatDuration(standing.resetMs)],
    ];
  });

/** As OpenAI's headers have it: `17ms`, `8.64s`, `6m0s`. */
export function formatDuration(milliseconds: number): string {
  const whole = Math.max(0, Math.ceil(milliseconds));
  if (whole > 0 && whole < 1000) return `${whole}ms`;
  const minutes = Math.floor(whole / 60_000);
  const seconds = `${(whole % 60_000) / 1000}s`;
  return minutes > 0 ? `${minutes}m${seconds}` : seconds;
}
