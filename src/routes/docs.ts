// GET /docs: the API's description as a page, with Swagger UI. All of it comes from this Worker, and the page may load nothing from elsewhere.
// The viewer is imported as compressed bytes, so that an isolate that nobody asks for this page carries little and parses nothing.
import { createRoute, z } from "@hono/zod-openapi";
import viewerStyle from "../../dist/docs/viewer.css.gz.bin";
import viewerScript from "../../dist/docs/viewer.js.gz.bin";
import type { AddRoutes } from "./context.ts";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Franken Gateway: API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/viewer.css">
  </head>
  <body>
    <div id="api"></div>
    <noscript>This page needs JavaScript; <a href="/openapi.json">/openapi.json</a> says the same.</noscript>
    <script src="/docs/viewer.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`;

// Without `validatorUrl: null`, the viewer would ask a server elsewhere what it thinks of the description.
const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

/** The viewer sets styles on its elements and draws icons from data: URLs. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const unzip = (bytes: ArrayBuffer): ReadableStream =>
  new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));

const FILES = {
  "viewer.js": [() => unzip(viewerScript), "text/javascript; charset=utf-8"],
  "viewer.css": [() => unzip(viewerStyle), "text/css; charset=utf-8"],
  "start.js": [() => START, "text/javascript; charset=utf-8"],
} as const;

const text = (description: string, ...types: string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: z.string() }])),
});

const pageRoute = createRoute({
  method: "get",
  path: "/docs",
  summary: "Show this description as a page",
  responses: { 200: text("The page.", "text/html") },
});
const fileRoutes = (Object.keys(FILES) as (keyof typeof FILES)[]).map((name) => ({
  name,
  route: createRoute({
    method: "get",
    path: `/docs/${name}`,
    summary: `A part of the page /docs: ${name}`,
    responses: { 200: text("The file.", FILES[name][1].split(";")[0] as string) },
  }),
}));

export const addDocsRoutes: AddRoutes = (app) => {
  app.openapi(pageRoute, (c) =>
    c.body(PAGE, 200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    }),
  );
  for (const { name, route } of fileRoutes) {
    const [content, type] = FILES[name];
    app.openapi(route, (c) =>
      c.body(content(), 200, {
        "content-type": type,
        "cache-control": "public, max-age=3600",
        "x-content-type-options": "nosniff",
      }),
    );
  }
};
