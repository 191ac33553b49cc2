// A request that its key's limits refuse.

export class RateLimitError extends Error {
  override readonly name = "RateLimitError";
  /**
   * @param limit the limit that refused; `too_large`: the request alone is beyond its limit of tokens
   * @param retryMs when another attempt may be let in; undefined: never
   */
  constructor(
    readonly limit: "requests" | "tokens" | "too_large",
    message: string,
    readonly retryMs?: number,
  ) {
    super(message);
  }
}
