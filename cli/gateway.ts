// Asks a running gateway, and says what to do where it gives no answer.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { root } from "../build/paths.ts";
import { UserError } from "../formats/error.ts";
import { readKeys } from "../src/access/index.ts";
import { commandVariable } from "../src/config.ts";

/** Where `npm start` listens. */
export const DEFAULT_URL = "http://127.0.0.1:8787";
const WAIT_MS = 30_000;

export interface GatewayOptions {
  readonly url: string;
  readonly key: string;
}

/**
 * The key that is given, else OPENAI_API_KEY, else one of those that `npm start` serves: an admin's where there is one.
 * @throws UserError when there is none
 */
export async function findKey(given: string | undefined, vars = join(root, ".dev.vars")): Promise<string> {
  const known = given ?? commandVariable("OPENAI_API_KEY");
  if (known) return known;
  const local = await readFile(vars, "utf8").catch(() => "");
  try {
    return readKeys(parseEnv(local).API_KEYS ?? "")[0] as string;
  } catch (error) {
    const why = local === "" ? "" : ` (.dev.vars: ${(error as Error).message})`;
    throw new UserError(`there is no API key${why}: give one with --key or in OPENAI_API_KEY`);
  }
}

/**
 * @param path of the resource, as "/v1/models"
 * @throws UserError when the gateway cannot be reached, or refuses
 */
export async function getJson({ url, key }: GatewayOptions, path: string): Promise<unknown> {
  const address = addressOf(url, path);
  const headers = { authorization: `Bearer ${key}` };
  const response = await fetch(address, { headers, signal: AbortSignal.timeout(WAIT_MS) }).catch((error: Error) => {
    const why = (error.cause as Error | undefined)?.message || error.message;
    throw new UserError(
      `no gateway answers at ${url} (${why}): start one with npm start, or say where it is with --url`,
    );
  });
  const text = await response.text();
  const body = parseJson(text);
  if (response.ok && body !== undefined) return body;
  const message = (body as { error?: { message?: unknown } } | undefined)?.error?.message;
  if (typeof message !== "string") {
    throw new UserError(`what answers at ${url} is not this gateway (status ${response.status}): check --url`);
  }
  throw new UserError(
    response.status === 401 ? `${message} Give another key with --key or in OPENAI_API_KEY.` : message,
  );
}

function addressOf(url: string, path: string): URL {
  // A base URL as SDKs take it ends with /v1.
  const text = url.replace(/\/+$/, "").replace(/\/v1$/, "") + path;
  try {
    const address = new URL(text);
    if (/^https?:$/.test(address.protocol)) return address;
  } catch {
    // Not an address at all.
  }
  throw new UserError(`--url is ${url}: give the address of a gateway, such as ${DEFAULT_URL}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
