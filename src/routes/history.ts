// The items that a request with `previous_response_id` goes on from.
import type { Context } from "hono";
import { ApiError, type Item, type ResponseRequest } from "../openai/index.ts";
import type { AppEnv, GatewayDeps } from "./context.ts";

/** @throws ApiError `previous_response_not_found`, or `invalid_value` for a response that is not over */
export async function historyOf(
  c: Context<AppEnv>,
  request: ResponseRequest,
  { responses }: GatewayDeps,
): Promise<Item[]> {
  const { previousResponseId: id } = request;
  if (id === undefined || !responses) return [];
  const previous = await responses.store.find(c.get("access").keyId, id);
  if (!previous) {
    throw new ApiError("previous_response_not_found", `Previous response with id '${id.slice(0, 100)}' not found.`, {
      param: "previous_response_id",
    });
  }
  const { status, output } = previous.response;
  if (status !== "completed" && status !== "incomplete") {
    throw new ApiError("invalid_value", `The response '${id}' is ${status}: there is nothing yet to go on from.`, {
      param: "previous_response_id",
    });
  }
  // A call that was cut short cannot have an output.
  return [...previous.input, ...output.filter((item) => item.type === "message" || item.status === "completed")];
}
