// Who may use the API: clients that send one of the configured keys as a bearer token.
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { Limits } from "../limits/index.ts";
import { ApiError, parseBudgetDefaults, type WireBudget } from "../openai/index.ts";

/** A key that is not known, or keys that nobody can read. The message is meant for the client. */
export class AccessError extends Error {
  override readonly name = "AccessError";
  constructor(
    readonly code: "invalid_api_key" | "misconfigured",
    message: string,
  ) {
    super(message);
  }
}

/** What a request may do, and whose it is. */
export interface Access {
  /** Stands for the key where the key itself must not appear; the same for the same key, always. */
  readonly keyId: string;
  /** May see and change experiments. */
  readonly admin: boolean;
  /** Budget of requests that do not say otherwise. */
  readonly budget: WireBudget;
  /** Requests and tokens a minute. */
  readonly limits: Limits;
}

/** @throws AccessError `invalid_api_key`, which never repeats what was sent, or `misconfigured` */
export type CheckAuthorization = (header: string | undefined) => Access;

const perMinute = z.int().min(1).optional();
/** What a client can send after "Bearer". */
const sendable = z
  .string()
  .trim()
  .regex(/^[\x21-\x7e]+$/);
const entrySchema = z.strictObject({
  key: sendable,
  admin: z.boolean().optional(),
  budget: z.unknown().optional(),
  requests_per_minute: perMinute,
  tokens_per_minute: perMinute,
});
const keySchema = z.union([sendable, entrySchema]);
/** A key of the list with commas: none of what JSON is written with, which says that JSON was meant. */
const listedSchema = sendable.regex(/^[^"{}[\]]+$/);

/**
 * @param apiKeys keys separated by commas, or a JSON array of keys and of `{"key", "admin", "budget", "requests_per_minute", "tokens_per_minute"}`,
 *   where `budget` has the fields of a request's and limits that are absent are none; without a key, every request is refused
 */
export function createAuthorizationCheck(apiKeys: string): CheckAuthorization {
  let known: readonly { readonly digest: Buffer; readonly access: Access }[] | undefined;
  return (header) => {
    known ??= parseKeys(apiKeys);
    const key = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
    if (key === undefined) {
      throw refused(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
      );
    }
    // Digests have one length, and all are compared whatever the outcome: the time tells nothing about a key.
    const sent = digest(key);
    const matches = known.filter((candidate) => timingSafeEqual(candidate.digest, sent));
    const [match] = matches;
    if (!match) throw refused("Incorrect API key provided.");
    return match.access;
  };
}

/**
 * The keys of API_KEYS as clients send them, the first one for examples: an admin's where there is one.
 * @throws AccessError `misconfigured` that says what is wrong, and never repeats a key
 */
export function readKeys(apiKeys: string): readonly string[] {
  const known = parseKeys(apiKeys);
  return known.toSorted((a, b) => Number(b.access.admin) - Number(a.access.admin)).map(({ key }) => key);
}

/** @throws AccessError `misconfigured` that says which entry is wrong, and never repeats a key */
function parseKeys(apiKeys: string) {
  const text = apiKeys.trim();
  const isJson = /^[[{"]/.test(text);
  const entries = isJson ? parseJson(text) : text.split(",").filter((key) => key.trim());
  if (entries.length === 0) {
    throw new AccessError("misconfigured", "This gateway has no API keys yet: set its secret API_KEYS.");
  }
  return entries.map((entry, index) => {
    const parsed = (isJson ? keySchema : listedSchema).safeParse(entry);
    if (!parsed.success) throw misconfigured(`entry ${index} ${whatIsWrong(entry)}`);
    const {
      key,
      admin = false,
      budget = {},
      ...limits
    } = typeof parsed.data === "string" ? { key: parsed.data } : parsed.data;
    try {
      return {
        key,
        digest: digest(key),
        access: {
          keyId: digest(key).toString("hex").slice(0, 16),
          admin,
          budget: parseBudgetDefaults(budget),
          limits: { requests: limits.requests_per_minute, tokens: limits.tokens_per_minute },
        },
      };
    } catch (error) {
      if (error instanceof ApiError) throw misconfigured(`the budget of entry ${index} is wrong. ${error.message}`);
      throw error;
    }
  });
}

function whatIsWrong(entry: unknown): string {
  const limit = entrySchema.safeParse(entry).error?.issues.find(({ path }) => String(path[0]).endsWith("_per_minute"));
  if (typeof entry === "object" && entry !== null && "admin" in entry && typeof entry.admin !== "boolean")
    return "has an 'admin' that is neither true nor false";
  if (limit) return `has a '${String(limit.path[0])}' that is no whole number from 1 on; for no limit, leave it out`;
  return 'must be a key, without white space, or {"key": "...", "admin": true, "budget": {...}, "requests_per_minute": 60, "tokens_per_minute": 10000}, all but the key as wanted';
}

function parseJson(text: string): unknown[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw misconfigured("it begins like JSON, but is not: a quote or a bracket is missing, or it was cut off");
  }
  if (!Array.isArray(value)) throw misconfigured('its JSON must be an array: ["...", {"key": "..."}]');
  return value;
}

const misconfigured = (what: string): AccessError =>
  new AccessError("misconfigured", `This gateway's secret API_KEYS cannot be read: ${what}.`);

const refused = (message: string): AccessError => new AccessError("invalid_api_key", message);

const digest = (key: string): Buffer => createHash("sha256").update(key).digest();
