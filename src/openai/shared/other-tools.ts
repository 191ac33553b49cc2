// Tools of kinds that are not here, such as a search of the web: clients offer them to every model, and no model has to use one. They
// are left out. A choice that asks for one of them is refused.
import { z } from "@hono/zod-openapi";

/** A tool of any type but `function`. */
export const otherToolSchema = z
  .looseObject({ type: z.string().refine((type) => type !== "function", { abort: true }) })
  .openapi({ description: "A tool of another type is left out, and the reply's header `x-franken-warning` says so." });

/** Types named in a warning; what clients send may be long. */
const MOST_NAMED = 8;
const MOST_CHARACTERS = 40;

/** What the reply's warning says of tools that were left out. */
export function otherToolsLeftOut(types: readonly string[]): string[] {
  const all = [...new Set(types)];
  const named = all.slice(0, MOST_NAMED).map((type) => type.slice(0, MOST_CHARACTERS));
  if (named.length === 0) return [];
  return [`tools of type ${named.join(", ")}${all.length > named.length ? " and others" : ""}`];
}
