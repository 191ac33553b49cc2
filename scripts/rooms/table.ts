// The rooms of the project, from the ground up. A room may import rooms above its line, and what a
// room's index.ts exports: `npm run check` refuses everything else.

export interface Room {
  /** A folder or a file, from the project's root; the longest name that fits a file is its room. */
  readonly path: string;
  readonly holds: string;
  /** The room has no door: every file of it may be imported, for the reason given. */
  readonly open?: string;
  /** The room looks behind the doors of others, for the reason given. */
  readonly looksInside?: string;
}

const TOOLS = "a library of small files, each with an API of its own";
const MEASURES = "it measures single parts";

export const ROOMS: readonly Room[] = [
  // What all may use.
  { path: "src/replica-settings.ts", holds: "the replica's variables, without schemas" },
  { path: "src/config.ts", holds: "every variable of the Workers and the commands" },
  { path: "src/version.ts", holds: "the version of package.json" },
  { path: "src/work.ts", holds: "turns of the event loop during long work" },
  { path: "src/svg.ts", holds: "SVG elements" },
  { path: "src/telemetry", holds: "log entries" },
  // From text to logits.
  { path: "src/variants", holds: "recipes, plans, weight sets, the catalogue" },
  { path: "src/grammar", holds: "JSON schemas and tool calls as automata" },
  { path: "src/tokenizer", holds: "tokenizers and chat templates" },
  { path: "src/engine", holds: "token ids to logits, sampling, masks" },
  { path: "src/scheduler", holds: "deadlines, shares, batches, running sequences" },
  { path: "src/scoring", holds: "likelihoods of given texts by an engine" },
  // Files, and what is made of them.
  { path: "formats", holds: "GGUF, safetensors, PEFT, tokenizer files", open: TOOLS },
  { path: "build", holds: "a checkpoint to weight image, tokenizers, kernels, bundles", open: TOOLS },
  { path: "evaluation", holds: "tasks, metrics, statistics, recorded scores", open: TOOLS },
  // Services.
  { path: "src/storage", holds: "the outbox to D1, cached reads, their errors" },
  { path: "src/replica", holds: "the Durable Object of an engine, and its protocol" },
  { path: "src/limits", holds: "requests and tokens a minute" },
  { path: "src/experiments", holds: "A/B experiments: assignment, statistics, shadow scoring" },
  { path: "src/routing", holds: "which variant serves a request" },
  { path: "src/monitor", holds: "measures live replicas, quarantines variants" },
  { path: "src/serving", holds: "from a parsed request to the events of its reply" },
  // The HTTP side.
  { path: "src/openai", holds: "OpenAI's wire format" },
  { path: "src/access", holds: "API keys, whose budgets are written as those of requests" },
  { path: "src/responses", holds: "stored and background responses" },
  { path: "src/routes", holds: "endpoints" },
  { path: "src/services.ts", holds: "the services that routes are given" },
  { path: "src/app.ts", holds: "the Hono app" },
  { path: "src/env.ts", holds: "bindings of the gateway" },
  { path: "src/gateway.ts", holds: "entry of the gateway Worker" },
  { path: "src/replica.ts", holds: "entry of the replica Worker" },
  { path: "src/replica-onnx.ts", holds: "entry of the replica Worker with ONNX Runtime" },
  // Commands.
  { path: "evaluation/offline", holds: "the offline runner, and what the build packs of scores", open: TOOLS },
  { path: "compress", holds: "pruning, quantization, import, export", open: TOOLS },
  { path: "cli", holds: "`npx franken` and `npm run eval`", open: TOOLS },
  { path: "bench", holds: "benchmarks", open: TOOLS, looksInside: MEASURES },
  { path: "scripts", holds: "set-up, start, generated documents, checks", open: TOOLS },
  { path: "test", holds: "tests", open: TOOLS, looksInside: MEASURES },
];

/** Classes of Durable Objects: only entries may load them, since `cloudflare:workers` exists in Workers alone. */
export const OBJECTS = { name: /-object\.ts$/, entries: ["src/gateway.ts", "src/replica.ts", "src/replica-onnx.ts"] };

/** The door of the ONNX engine loads ONNX Runtime for the Web, which tools that write graphs must not. */
const WRITER = "writes ONNX graphs, and runs them by ONNX Runtime for Node";

/** Imports against the order or behind a door, as "from to", with the reason. */
export const EXCEPTIONS: Readonly<Record<string, string>> = {
  "compress/linalg/products.ts src/engine/onnx/graph.ts": WRITER,
  "compress/forward/graphs.ts src/engine/onnx/graph.ts": WRITER,
  "compress/forward/graphs.ts src/engine/onnx/proto.ts": WRITER,
  "compress/forward/moments.ts src/engine/onnx/graph.ts": WRITER,
  "compress/forward/session.ts src/engine/onnx/proto.ts": WRITER,
};
