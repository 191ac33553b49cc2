// Turns what zod finds wrong into the one error that OpenAI's API would report: the first, with the path of the field.
import type { z } from "@hono/zod-openapi";
import { ApiError, type ErrorCode } from "./errors.ts";
import { tooLongToCheck } from "./visits.ts";

/** @throws ApiError `missing_required_parameter`, `invalid_type` or `invalid_value` with the field's path as `param` */
export function validate<T>(schema: z.ZodType<T>, value: unknown): T {
  const long = tooLongToCheck(schema, value);
  if (long !== undefined) {
    throw new ApiError("invalid_value", `Invalid value for '${long}': it has more in it than one request may have.`, {
      param: long,
    });
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = innermost(result.error.issues[0] as z.core.$ZodIssue);
  const param = issue.path.map(String).join(".");
  const isMissing = at(value, issue.path) === undefined;
  if (isMissing) throw new ApiError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
  const code: ErrorCode =
    issue.code === "invalid_type" || (issue.code === "invalid_union" && issue.errors.length > 0)
      ? "invalid_type"
      : "invalid_value";
  const where = param ? `'${param}'` : "the request body";
  throw new ApiError(code, `Invalid value for ${where}: ${issue.message}.`, { param: param || undefined });
}

/** The error of a union by `type`, which names a type that is not among its own. @param what things of such a type, in the plural */
export const otherType =
  (what: string, types: readonly string[]) =>
  ({ input }: { readonly input?: unknown }): string | undefined => {
    if (typeof input !== "object" || input === null || !("type" in input)) return undefined;
    const type = String(input.type).slice(0, 40);
    return `${what} of type '${type}' are not supported, only ${types.map((name) => `'${name}'`).join(", ")}`;
  };

/**
 * Of a union, the alternative that got further than the outermost value's type is the one that was meant. (One that is told apart by a
 * field, and has none for the field's value, has no alternatives.)
 */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  const firsts = issue.errors.flatMap(([first]) => first ?? []);
  const meant = firsts.find(({ path }) => path.length > 0) ?? firsts.find(({ code }) => code !== "invalid_type");
  return meant ? innermost({ ...meant, path: [...issue.path, ...meant.path] }) : issue;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}
