// GET /docs and what is below it: the pages, each also as Markdown, and the API's description in
// Swagger UI. The build packs all of it; a page may load nothing from elsewhere. A file is unzipped
// as a stream, so that an isolate that nobody asks for it carries little and parses nothing.
import { createRoute, z } from "@hono/zod-openapi";
import { trimTrailingSlash } from "hono/trailing-slash";
import bytes from "../../dist/docs/site.bin";
import index from "../../dist/docs/site.json" with { type: "json" };
import { ApiError, errorResponses } from "../openai/index.ts";
import type { AddRoutes } from "./context.ts";

interface PackedFile {
  readonly type: string;
  readonly etag: string;
  /** Where each of its compressed pieces begins and ends. */
  readonly pieces: readonly (readonly number[])[];
}
const FILES = new Map<string, PackedFile>(Object.entries(index));
const NOT_FOUND = "/docs/404";
const VIEWER = "/docs/api";

const policy = (styles: string): string =>
  [
    "default-src 'none'",
    "script-src 'self'",
    `style-src ${styles}`,
    "img-src 'self' data:",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; ");
const PAGE_POLICY = policy("'self'");
/** The viewer sets styles on its elements and draws icons from data: URLs. */
const VIEWER_POLICY = policy("'self' 'unsafe-inline'");
/** A picture has its style within it, and runs nothing. */
const PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

function policyOf(path: string, type: string): Record<string, string> {
  const value = type.startsWith("image/") ? PICTURE_POLICY : path === VIEWER ? VIEWER_POLICY : PAGE_POLICY;
  return { "content-security-policy": value };
}

const unzip = (begin = 0, end = 0): ReadableStream<Uint8Array> =>
  new Blob([bytes.slice(begin, end)]).stream().pipeThrough(new DecompressionStream("gzip"));

/** The pieces of a file, one after the other. */
function contentOf({ pieces }: PackedFile): ReadableStream<Uint8Array> {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const write = async (): Promise<void> => {
    for (const [begin, end] of pieces) await unzip(begin, end).pipeTo(writable, { preventClose: true });
    await writable.close();
  };
  // A client that leaves cancels the stream, which ends the writing.
  write().catch(() => {});
  return readable;
}

/** Whether the client says that it has the file. A proxy that compresses makes the tag a weak one. */
const isKnown = (asked: string | undefined, etag: string): boolean =>
  (asked ?? "").split(",").some((tag) => tag.trim().replace(/^W\//, "") === etag);

const text = (description: string, ...types: string[]) => ({
  description,
  content: Object.fromEntries(types.map((type) => [type, { schema: z.string() }])),
});

const PAGE_TYPES = ["text/html", "text/markdown", "text/css", "text/javascript", "image/svg+xml"];
const unknown = errorResponses("unknown_url")["404"];
/** Browsers get a page, others the API's error. */
const NOT_THERE = {
  description: unknown?.description ?? "",
  content: { ...unknown?.content, "text/html": { schema: z.string() } },
};
const namesIn = (path: string): string[] => [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
const get = <Path extends string>(path: Path, summary: string, ...types: string[]) =>
  createRoute({
    method: "get",
    path,
    summary,
    request: { params: z.object(Object.fromEntries(namesIn(path).map((name) => [name, z.string()]))) },
    responses: {
      200: text("The file.", ...types),
      304: { description: "The file is what `if-none-match` says." },
      ...(path.includes("{") ? { 404: NOT_THERE } : {}),
    },
  });
const ROUTES = [
  get("/docs", "Show the first page of the documentation", "text/html"),
  get("/docs/api", "Show this description as a page", "text/html"),
  get("/docs/{page}", "Show a page, with `.md` behind its name as Markdown", ...PAGE_TYPES),
  get("/docs/{folder}/{page}", "Show a page or a file that pages load", ...PAGE_TYPES),
  get("/README.md", "Give the first page as Markdown", "text/markdown"),
  get("/llms.txt", "List the pages for language models, as llmstxt.org has it", "text/markdown"),
  get("/llms-full.txt", "Give all pages as one Markdown text", "text/markdown"),
];

export const addDocsRoutes: AddRoutes = (app) => {
  app.use("/docs/*", trimTrailingSlash());
  for (const route of ROUTES) {
    app.openAPIRegistry.registerPath(route);
    app.get(route.getRoutingPath(), (c) => {
      const { path } = c.req;
      const wanted = path === NOT_FOUND ? undefined : FILES.get(path);
      const file = wanted ?? FILES.get(NOT_FOUND);
      if (!file || (!wanted && !c.req.header("accept")?.includes("text/html"))) {
        throw new ApiError("unknown_url", `Invalid URL (GET ${path.slice(0, 200)})`);
      }
      const headers = {
        etag: file.etag,
        // Another version of the service is another site, and asking whether it is costs little.
        "cache-control": wanted ? "public, no-cache" : "no-store",
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        ...policyOf(path, file.type),
      };
      if (wanted && isKnown(c.req.header("if-none-match"), file.etag)) return c.body(null, 304, headers);
      return c.body(contentOf(file), wanted ? 200 : 404, { ...headers, "content-type": file.type });
    });
  }
};
