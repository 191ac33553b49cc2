// Who may use the API: clients that send one of the configured keys as a bearer token.
import { createHash, timingSafeEqual } from "node:crypto";
import { ApiError } from "../openai/index.ts";

/** @throws ApiError `invalid_api_key`, which never repeats what was sent, or `misconfigured` */
export type CheckAuthorization = (header: string | undefined) => void;

/** @param apiKeys keys separated by commas; with none, every request is refused */
export function createAuthorizationCheck(apiKeys: string): CheckAuthorization {
  const known = apiKeys
    .split(",")
    .map((key) => key.trim())
    .filter(Boolean)
    .map(digest);
  return (header) => {
    if (known.length === 0) {
      throw new ApiError("misconfigured", "This gateway has no API keys yet: set its secret API_KEYS.");
    }
    const key = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
    if (key === undefined) {
      throw refused(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
      );
    }
    // Digests have one length, and all are compared whatever the outcome: the time tells nothing about a key.
    const sent = digest(key);
    const matches = known.map((candidate) => timingSafeEqual(candidate, sent));
    if (!matches.includes(true)) throw refused("Incorrect API key provided.");
  };
}

const refused = (message: string): ApiError =>
  new ApiError("invalid_api_key", message, { headers: { "www-authenticate": "Bearer" } });

const digest = (key: string): Buffer => createHash("sha256").update(key).digest();
