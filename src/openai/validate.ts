// Turns what zod finds wrong into the one error that OpenAI's API would report: the first, with the path of the field.
import type { z } from "@hono/zod-openapi";
import { ApiError, type ErrorCode } from "./errors.ts";

/** @throws ApiError `missing_required_parameter`, `invalid_type` or `invalid_value` with the field's path as `param` */
export function validate<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = innermost(result.error.issues[0] as z.core.$ZodIssue);
  const param = issue.path.map(String).join(".");
  const isMissing = at(value, issue.path) === undefined;
  if (isMissing) throw new ApiError("missing_required_parameter", `Missing required parameter: '${param}'.`, { param });
  const code: ErrorCode =
    issue.code === "invalid_type" || issue.code === "invalid_union" ? "invalid_type" : "invalid_value";
  const where = param ? `'${param}'` : "the request body";
  throw new ApiError(code, `Invalid value for ${where}: ${issue.message}.`, { param: param || undefined });
}

/** Of a union, the alternative that got further than the outermost value's type is the one that was meant. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== "invalid_union") return issue;
  for (const [first] of issue.errors) {
    if (first && (first.path.length > 0 || first.code !== "invalid_type")) {
      return innermost({ ...first, path: [...issue.path, ...first.path] });
    }
  }
  return issue;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
}
