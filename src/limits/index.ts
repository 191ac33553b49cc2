// The door of the limits: requests and tokens a minute for each key.
export type { Limits, Verdict } from "./bucket.ts";
export { RateLimitError } from "./errors.ts";
export { LIMIT_HEADERS, limitHeaders } from "./headers.ts";
export { type Admission, type BackgroundLine, createLimiter, type Limiter, type LimitStore } from "./limiter.ts";
