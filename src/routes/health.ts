// GET /health: whether a request would be answered now. The first call starts the loading.
import { createRoute, z } from "@hono/zod-openapi";
import type { ReplicaStatus } from "../replica/index.ts";
import type { AddRoutes } from "./context.ts";

const replicaSchema = z
  .object({
    base: z.string().openapi({
      description:
        "The weight set: a checkpoint's, one with some tensors changed by a recipe, or one of layers of its own.",
    }),
    state: z
      .enum(["idle", "loading", "ready", "failed"])
      .openapi({ description: "`idle`: loaded when they are asked for." }),
    progress: z.number().min(0).max(1),
    engine: z.string(),
    digest: z.string().openapi({ description: "Of weights and engine; empty until they are loaded." }),
    resident_bytes: z.int().openapi({
      description: "Of the memory that the weights are in. Weight sets that share one each tell all of it.",
    }),
    queued: z.int(),
    running: z.int(),
  })
  .openapi("ReplicaHealth");

const storageSchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("ok") }),
    z.object({ status: z.literal("failing"), error: z.string(), since: z.iso.datetime() }),
  ])
  .openapi("StorageHealth", {
    description:
      "Whether records of what happens are kept, as this isolate saw it last. Where they are not, as on a full disk, requests are still answered.",
  });

const parts = { replicas: z.array(replicaSchema), storage: storageSchema };
const okSchema = z.object({ status: z.literal("ok"), ...parts }).openapi("Healthy");
const notReadySchema = z
  .discriminatedUnion("status", [
    z.object({ status: z.literal("loading"), progress: z.number().min(0).max(1), ...parts }),
    z.object({ status: z.literal("failed"), error: z.string(), ...parts }),
  ])
  .openapi("NotReady");

const NOT_READY = {
  status: "loading" as const,
  progress: 0.25,
  replicas: [],
  storage: { status: "ok" as const },
};

const healthRoute = createRoute({
  method: "get",
  path: "/health",
  summary: "Tell whether the models are loaded",
  description:
    "Needs no key. The first call starts the loading of the weights that are listed first, and then of those that have room in the same memory; others are loaded when a request needs them.",
  responses: {
    200: { description: "Requests are answered.", content: { "application/json": { schema: okSchema } } },
    503: {
      description: "The first replica is loading, or failed to.",
      content: {
        "application/json": { schema: notReadySchema, example: NOT_READY },
      },
    },
  },
});

export const addHealthRoutes: AddRoutes = (app, { catalogue, replicaOf, router, log, storageFailing }) => {
  const ids = [...new Set([...catalogue.values()].map(({ plan }) => plan.base.id))];
  app.openapi(healthRoute, async (c) => {
    const statuses = await Promise.all(
      ids.map((id) =>
        replicaOf(id)
          .status(id, id === ids[0])
          .catch((error: unknown): ReplicaStatus => {
            const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
            log.failure({ requestId: c.get("requestId"), name, message, stack });
            return unreachable;
          }),
      ),
    );
    for (const [i, status] of statuses.entries()) if (status !== unreachable) router.told(ids[i] as string, status);
    const replicas = statuses.map(({ state, progress, engine, digest, residentBytes, queued, running }, i) => ({
      base: ids[i] as string,
      state,
      progress,
      engine,
      digest,
      resident_bytes: residentBytes,
      queued,
      running,
    }));
    const failing = storageFailing?.();
    const storage = failing
      ? { status: "failing" as const, error: failing.message, since: new Date(failing.since).toISOString() }
      : { status: "ok" as const };
    const all = { replicas, storage };
    const { state, error = "unknown", progress } = statuses[0] ?? unreachable;
    if (state === "failed") return c.json({ status: "failed" as const, error, ...all }, 503);
    if (state === "loading") return c.json({ status: "loading" as const, progress, ...all }, 503);
    return c.json({ status: "ok" as const, ...all }, 200);
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
