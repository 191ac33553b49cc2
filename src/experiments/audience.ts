// Who takes part in an experiment, and what of a request is the unit that keeps its arm.
import type { Audience, UnitKind } from "./schema.ts";

/** What of a request decides on its experiment. */
export interface Visitor {
  /** Id of the API key, never the key. */
  readonly keyId: string;
  readonly headers: Pick<Headers, "get">;
  /** The request's `user` field (or `safety_identifier`, where a client sends that). */
  readonly user?: string | undefined;
}

/** The name of a request's unit; undefined where the request does not say, and so takes no part. */
export function unitName(unit: UnitKind, { keyId, headers, user }: Visitor): string | undefined {
  if (unit === "key") return keyId;
  const name = unit === "user" ? user : (headers.get(unit.header) ?? undefined);
  // Two customers may both have a user "1": a name is one within its key.
  return name ? JSON.stringify([keyId, name]) : undefined;
}

/** Names of the headers that experiments look at. */
export const headersRead = (
  experiments: readonly { readonly audience: Audience; readonly unit: UnitKind }[],
): readonly string[] =>
  experiments.flatMap(({ audience, unit }) => [
    ...(audience.header ? [audience.header.name] : []),
    ...(typeof unit === "object" ? [unit.header] : []),
  ]);

/** Whether a request belongs to the audience, its share aside. */
export function isInvited({ keys, header }: Audience, { keyId, headers }: Visitor): boolean {
  if (keys && !keys.includes(keyId)) return false;
  if (!header) return true;
  const value = headers.get(header.name);
  return value !== null && (!header.values || header.values.includes(value));
}

/**
 * Whether a request can belong to both audiences. Shares do not tell audiences apart: each experiment draws its own.
 */
export function doOverlap(a: Audience, b: Audience): boolean {
  const share = <T>(x: readonly T[] | undefined, y: readonly T[] | undefined): boolean =>
    !x || !y || x.some((value) => y.includes(value));
  if (!share(a.keys, b.keys)) return false;
  const isSameHeader = a.header && b.header && a.header.name.toLowerCase() === b.header.name.toLowerCase();
  return !isSameHeader || share(a.header?.values, b.header?.values);
}
