// Responses that are kept: retrieved, cancelled, deleted, and what they were given.
import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import {
  ApiError,
  errorResponses,
  itemPageSchema,
  pageOf,
  pageQuerySchema,
  responseSchema,
  validate,
} from "../openai/index.ts";
import type { ResponseKeeping, StoredResponse } from "../responses/index.ts";
import { bearer } from "./bearer.ts";
import type { AddRoutes, AppEnv } from "./context.ts";

const params = z.object({ id: z.string().openapi({ example: "resp_0f2a6c1e9b7d4853" }) });
const errors = errorResponses(
  "invalid_value",
  "unsupported_parameter",
  "invalid_api_key",
  "response_not_found",
  "internal_error",
  "misconfigured",
  "storage_unavailable",
);
const json = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: { "application/json": { schema } },
});

const retrieveRoute = createRoute({
  method: "get",
  path: "/v1/responses/{id}",
  summary: "Retrieve a response",
  description: "Only the key that made it can. Log-probabilities are not kept.",
  security: [bearer],
  request: { params },
  responses: { 200: json("The response.", responseSchema), ...errors },
});

const deletedSchema = z
  .object({ id: z.string(), object: z.literal("response"), deleted: z.literal(true) })
  .openapi("DeletedResponse");
const deleteRoute = createRoute({
  method: "delete",
  path: "/v1/responses/{id}",
  summary: "Delete a response",
  description:
    "One that is still being made in the background is cancelled. Responses that went on from it stay whole.",
  security: [bearer],
  request: { params },
  responses: { 200: json("It is gone.", deletedSchema), ...errors },
});

const cancelRoute = createRoute({
  method: "post",
  path: "/v1/responses/{id}/cancel",
  summary: "Cancel a background response",
  description: "One that is over stays as it is.",
  security: [bearer],
  request: { params },
  responses: { 200: json("The response.", responseSchema), ...errors },
});

const itemsRoute = createRoute({
  method: "get",
  path: "/v1/responses/{id}/input_items",
  summary: "List what a response was given",
  description: "With what the responses before it were given and said; without `instructions`.",
  security: [bearer],
  request: { params, query: pageQuerySchema },
  responses: { 200: json("A page of items.", itemPageSchema), ...errors },
});

const isOver = ({ response }: StoredResponse): boolean =>
  response.status !== "queued" && response.status !== "in_progress";

export const addStoredResponseRoutes: AddRoutes = (app, { responses }) => {
  const notFound = (id: string): ApiError =>
    new ApiError(
      "response_not_found",
      responses
        ? `Response with id '${id.slice(0, 100)}' not found.`
        : "This gateway has no database: it keeps no responses. Bind a D1 database as DB.",
      { param: "id" },
    );
  const keepingOf = (id: string): ResponseKeeping => {
    if (!responses) throw notFound(id);
    return responses;
  };
  const find = async (c: Context<AppEnv>, id: string): Promise<StoredResponse> => {
    const found = await keepingOf(id).store.find(c.get("access").keyId, id);
    if (!found) throw notFound(id);
    return found;
  };

  app.openapi(retrieveRoute, async (c) => {
    const query = new URL(c.req.url).searchParams;
    const asked = [...query.getAll("include"), ...query.getAll("include[]")];
    if (query.get("stream") === "true") throw unsupported("stream");
    if (asked.some((name) => name.includes("logprobs"))) throw unsupported("include");
    const { response } = await find(c, c.req.valid("param").id);
    return c.json(response, 200);
  });

  app.openapi(deleteRoute, async (c) => {
    const { id } = c.req.valid("param");
    const found = await find(c, id);
    const { store, runnerOf } = keepingOf(id);
    if (!isOver(found)) await runnerOf(id).cancel();
    if (!(await store.remove(c.get("access").keyId, id))) throw notFound(id);
    return c.json({ id, object: "response" as const, deleted: true as const }, 200);
  });

  app.openapi(cancelRoute, async (c) => {
    const { id } = c.req.valid("param");
    const found = await find(c, id);
    if (!found.response.background) {
      throw new ApiError("invalid_value", "Only responses created with 'background' can be cancelled.", {
        param: "id",
      });
    }
    const { store, runnerOf } = keepingOf(id);
    const cancelled = { ...found.response, status: "cancelled" as const };
    // It may have come to its end in the meantime.
    if (isOver(found) || !(await store.update(cancelled))) return c.json((await find(c, id)).response, 200);
    await runnerOf(id).cancel();
    return c.json(cancelled, 200);
  });

  app.openAPIRegistry.registerPath(itemsRoute);
  app.get("/v1/responses/:id/input_items", async (c) => {
    const query = validate(pageQuerySchema, c.req.query());
    const { input } = await find(c, c.req.param("id"));
    return c.json(pageOf(input, query));
  });
};

const unsupported = (param: string): ApiError =>
  new ApiError(
    "unsupported_parameter",
    `Unsupported parameter: '${param}' of a stored response is not supported by this gateway. Leave it out.`,
    { param },
  );
