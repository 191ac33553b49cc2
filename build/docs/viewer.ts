// The API viewer at /docs/api: Swagger UI, its page, and the script that starts it.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { SiteFile } from "./pack.ts";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Franken Gateway: API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/api/viewer.css">
  </head>
  <body>
    <a href="/docs">Pages</a>
    <div id="api"></div>
    <noscript>This page needs JavaScript; <a href="/openapi.json">/openapi.json</a> says the same.</noscript>
    <script src="/docs/api/viewer.js"></script>
    <script src="/docs/api/start.js"></script>
  </body>
</html>
`;

// Without `validatorUrl: null`, the viewer would ask a server elsewhere what it thinks of the
// description.
const START = `SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#api",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
`;

const SCRIPT = "text/javascript; charset=utf-8";

export async function viewerFiles(): Promise<SiteFile[]> {
  const folder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
  return [
    { path: "/docs/api", type: "text/html; charset=utf-8", content: PAGE },
    { path: "/docs/api/start.js", type: SCRIPT, content: START },
    { path: "/docs/api/viewer.js", type: SCRIPT, content: await readFile(join(folder, "swagger-ui-bundle.js")) },
    {
      path: "/docs/api/viewer.css",
      type: "text/css; charset=utf-8",
      content: await readFile(join(folder, "swagger-ui.css")),
    },
  ];
}
