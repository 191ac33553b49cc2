// GET /health: whether a request would be answered now. The first call starts the loading.
import { createRoute, z } from "@hono/zod-openapi";
import type { ReplicaStatus } from "../replica/protocol.ts";
import type { AddRoutes } from "./context.ts";

const replicaSchema = z
  .object({
    base: z.string().openapi({ description: "The checkpoint that this replica holds." }),
    state: z.enum(["loading", "ready", "failed"]),
    progress: z.number().min(0).max(1),
    engine: z.string(),
    digest: z.string().openapi({ description: "Of weights and engine; empty until they are loaded." }),
    resident_bytes: z.int(),
    queued: z.int(),
    running: z.int(),
  })
  .openapi("ReplicaHealth");

const okSchema = z.object({ status: z.literal("ok"), replicas: z.array(replicaSchema) }).openapi("Healthy");
const notReadySchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("loading"), progress: z.number().min(0).max(1), replicas: z.array(replicaSchema) }),
    z.object({ status: z.literal("failed"), error: z.string(), replicas: z.array(replicaSchema) }),
  ])
  .openapi("NotReady");

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  summary: "Tell whether the models are loaded",
  description: "Needs no key. The first call starts the loading.",
  responses: {
    200: { description: "Every replica is ready.", content: { "application/json": { schema: okSchema } } },
    503: {
      description: "A replica is loading, or failed to.",
      content: {
        "application/json": { schema: notReadySchema, example: { status: "loading", progress: 0.25, replicas: [] } },
      },
    },
  },
});

export const addHealthRoutes: AddRoutes = (app, { catalogue, replicaOf, log }) => {
  const bases = [...new Set([...catalogue.values()].map(({ plan }) => plan.base.id))];
  app.openapi(healthRoute, async (c) => {
    const statuses = await Promise.all(
      bases.map((base) =>
        replicaOf(base)
          .status(base)
          .catch((error: unknown): ReplicaStatus => {
            const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
            log.failure({ requestId: c.get("requestId"), name, message, stack });
            return unreachable;
          }),
      ),
    );
    const replicas = statuses.map(({ state, progress, engine, digest, residentBytes, queued, running }, i) => ({
      base: bases[i] as string,
      ...{ state, progress, engine, digest, resident_bytes: residentBytes, queued, running },
    }));
    const failed = statuses.find(({ state }) => state === "failed");
    if (failed) return c.json({ status: "failed" as const, error: failed.error ?? "unknown", replicas }, 503);
    if (statuses.every(({ state }) => state === "ready")) return c.json({ status: "ok" as const, replicas }, 200);
    const progress = Math.min(...statuses.map((status) => status.progress));
    return c.json({ status: "loading" as const, progress, replicas }, 503);
  });
};

const unreachable: ReplicaStatus = {
  state: "failed",
  progress: 0,
  error: "the replica is not reachable",
  engine: "",
  digest: "",
  residentBytes: 0,
  queued: 0,
  running: 0,
};
