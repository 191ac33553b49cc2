// GET / and GET /openapi.json: what this is, and the API's description, made from the same definitions that serve it.
import { createRoute, z } from "@hono/zod-openapi";
import { VERSION } from "../version.ts";
import type { AddRoutes, App } from "./context.ts";
import { exampleOf } from "./examples.ts";

const rootSchema = z.object({
  name: z.string(),
  description: z.string(),
  openapi: z.string(),
  docs: z.string(),
  health: z.string(),
});

const rootRoute = createRoute({
  method: "get",
  path: "/",
  summary: "Say what this is",
  responses: {
    200: {
      description: "Where to go from here.",
      content: { "application/json": { schema: rootSchema.openapi("Root") } },
    },
  },
});

const openapiRoute = createRoute({
  method: "get",
  path: "/openapi.json",
  summary: "Describe the API",
  responses: {
    200: {
      description: "This document, OpenAPI 3.1.",
      content: { "application/json": { schema: z.record(z.string(), z.unknown()) } },
    },
  },
});

const title = "Franken Gateway";
const description =
  "An OpenAI-compatible inference gateway that serves many compressed variants of one LLaMA checkpoint. Every reply has an `x-request-id` (a client may send its own) and every error is an `Error`.";

export const addDescriptionRoutes: AddRoutes = (app) => {
  app.openapi(rootRoute, (c) =>
    c.json({ name: title, description, openapi: "/openapi.json", docs: "/docs", health: "/health" }, 200),
  );
  let document: Record<string, unknown> | undefined;
  app.openapi(openapiRoute, (c) => {
    document ??= describeApi(app);
    return c.json(document, 200);
  });
};

const JSON_TYPE = "application/json";
const EVENT_STREAM = "text/event-stream";
interface Media {
  readonly schema: object;
  readonly example?: unknown;
}
interface Operation {
  readonly responses: Readonly<Record<number, { content?: Record<string, Media> }>>;
}

/** Of a stream, the description means one event: its data is the text of what the route has as its schema, or of an error, or `[DONE]`. */
const asEvent = (media: Media): Media => ({
  ...media,
  schema: {
    type: "object",
    required: ["data"],
    properties: {
      event: { type: "string" },
      data: {
        anyOf: [
          { const: "[DONE]" },
          {
            type: "string",
            contentMediaType: JSON_TYPE,
            contentSchema: { anyOf: [media.schema, { $ref: "#/components/schemas/Error" }] },
          },
        ],
      },
    },
  },
});

const describeApi = (app: App): Record<string, unknown> => {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title,
      description,
      version: VERSION,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
    },
    servers: [{ url: "/" }],
  });
  for (const [path, methods] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(methods as Record<string, Operation>)) {
      const content = operation.responses[200]?.content;
      if (content?.[EVENT_STREAM]) content[EVENT_STREAM] = asEvent(content[EVENT_STREAM]);
      const example = exampleOf(method, path);
      if (content?.[JSON_TYPE] && example !== undefined) content[JSON_TYPE] = { ...content[JSON_TYPE], example };
    }
  }
  return { ...document };
};
