// Endpoints of OpenAI's API that a server of one text model has no answer for. A client that calls one learns which, and what there is instead.
import { ApiError } from "../openai/index.ts";
import type { App } from "./context.ts";

/** First segments below /v1, and what they would need. */
const UNSERVED: Readonly<Record<string, string>> = {
  assistants: "assistants",
  audio: "speech and transcription",
  batches: "batch jobs",
  chatkit: "ChatKit sessions",
  containers: "containers to run code in",
  conversations: "stored conversations",
  edits: "edits",
  embeddings: "embeddings",
  engines: "engines",
  evals: "evaluations of its own",
  files: "stored files",
  fine_tuning: "fine-tuning",
  "fine-tunes": "fine-tuning",
  images: "images",
  moderations: "moderation",
  organization: "an organization to administer",
  projects: "projects to administer",
  realtime: "realtime sessions",
  skills: "skills",
  threads: "threads",
  uploads: "uploads",
  vector_stores: "vector stores",
  videos: "videos",
};

/** The error for a path that OpenAI's API has and this gateway's has not; undefined for any other. */
export function unservedEndpoint(app: App, method: string, path: string): ApiError | undefined {
  const [, segment = ""] = /^\/v1\/([\w-]+)(?:\/|$)/.exec(path) ?? [];
  const what = Object.hasOwn(UNSERVED, segment) ? UNSERVED[segment] : undefined;
  if (what === undefined) return undefined;
  const served = app.routes.filter((route) => route.method === "POST" && /^\/v1\/[\w/]+$/.test(route.path));
  const instead = [...new Set(served.map((route) => `POST ${route.path}`))].join(", ");
  return new ApiError(
    "unsupported_endpoint",
    `${method} ${path.slice(0, 200)} is not served: this gateway runs one text model and does not have ${what}. It serves ${instead}; GET /openapi.json describes all there is.`,
  );
}
