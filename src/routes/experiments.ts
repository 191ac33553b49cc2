// /v1/experiments, for admin keys: what is compared on live traffic, and what came of it.
import { createRoute, z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { comparingEpoch, type Experiments, newExperiment, type StoredExperiment } from "../experiments/live/index.ts";
import { ApiError, errorResponses, validate } from "../openai/index.ts";
import { weightsToChooseFrom } from "../serving/index.ts";
import { bearer } from "./bearer.ts";
import { readJson } from "./body.ts";
import type { AddRoutes, AppEnv } from "./context.ts";
import { changed, checkArms, checkOverlap, refusedValue } from "./experiment-checks.ts";
import {
  deletedExperimentSchema,
  experimentListSchema,
  experimentPatchSchema,
  experimentReply,
  experimentReplySchema,
  experimentRequestSchema,
  experimentResultsSchema,
  experimentWithLogSchema,
  resultsReply,
} from "./experiment-schema.ts";

const READING = [
  "invalid_api_key",
  "insufficient_permissions",
  "unsupported_endpoint",
  "internal_error",
  "misconfigured",
  "storage_unavailable",
] as const;
const WRITING = [
  "invalid_json",
  "missing_required_parameter",
  "invalid_type",
  "invalid_value",
  "request_timeout",
  "request_too_large",
  "unsupported_media_type",
] as const;

const params = z.object({ id: z.string().openapi({ example: "attn-drop-10" }) });
const json = <T extends z.ZodType>(description: string, schema: T) => ({
  description,
  content: { "application/json": { schema } },
});
const body = <T extends z.ZodType>(schema: T) => ({ required: true, content: { "application/json": { schema } } });
const common = { security: [bearer] };

const createExperimentRoute = createRoute({
  ...common,
  method: "post",
  path: "/v1/experiments",
  summary: "Begin an experiment",
  description:
    "It takes requests with the model `auto` from its `start` on (default: now). No two experiments that run at a time may take the same request.",
  request: { body: body(experimentRequestSchema) },
  responses: { 200: json("The experiment.", experimentReplySchema), ...errorResponses(...WRITING, ...READING) },
});
const listRoute = createRoute({
  ...common,
  method: "get",
  path: "/v1/experiments",
  summary: "List the experiments",
  responses: { 200: json("Oldest first.", experimentListSchema), ...errorResponses(...READING) },
});
const retrieveRoute = createRoute({
  ...common,
  method: "get",
  path: "/v1/experiments/{id}",
  summary: "Retrieve an experiment and its log",
  request: { params },
  responses: {
    200: json("The experiment.", experimentWithLogSchema),
    ...errorResponses(...READING, "experiment_not_found"),
  },
});
const changeRoute = createRoute({
  ...common,
  method: "patch",
  path: "/v1/experiments/{id}",
  summary: "Change an experiment",
  description: "One that is stopped or has ended stays as it is.",
  request: { params, body: body(experimentPatchSchema) },
  responses: {
    200: json("The experiment.", experimentReplySchema),
    ...errorResponses(...WRITING, ...READING, "experiment_not_found"),
  },
});
const deleteRoute = createRoute({
  ...common,
  method: "delete",
  path: "/v1/experiments/{id}",
  summary: "Delete an experiment and what was recorded of it",
  description: "Ends it. Its id is not given again.",
  request: { params },
  responses: {
    200: json("It is gone.", deletedExperimentSchema),
    ...errorResponses(...READING, "experiment_not_found"),
  },
});
const resultsQuery = z.object({
  epoch: z
    .string()
    .regex(/^\d{1,9}$/, "expected a whole number from 0 on")
    .optional()
    .openapi({ description: "Default: the last one that compares arms." }),
});
const resultsRoute = createRoute({
  ...common,
  method: "get",
  path: "/v1/experiments/{id}/results",
  summary: "Tell what an experiment says",
  description:
    "A user's requests are one observation, which counts once the unit's time (`window_seconds` and `settle_seconds`) is over. All limits hold at all times, however often they are looked at.",
  request: { params, query: resultsQuery },
  responses: {
    200: json("The results of one epoch.", experimentResultsSchema),
    ...errorResponses("invalid_value", ...READING, "experiment_not_found"),
  },
});

export const addExperimentRoutes: AddRoutes = (app, deps) => {
  const { now } = deps;
  /** @throws ApiError for a key that is no admin's, and where there is no database */
  const admit = (c: Context<AppEnv>): { readonly by: string; readonly service: Experiments } => {
    const { admin, keyId: by } = c.get("access");
    if (!admin) {
      throw new ApiError(
        "insufficient_permissions",
        "Experiments are for admin keys: this one has no `admin` in the gateway's secret API_KEYS.",
      );
    }
    if (!deps.experiments) {
      throw new ApiError("unsupported_endpoint", "Experiments need a database: bind a D1 database as DB.");
    }
    return { by, service: deps.experiments };
  };
  const notFound = (id: string): ApiError =>
    new ApiError("experiment_not_found", `There is no experiment '${id.slice(0, 100)}'.`, { param: "id" });
  const find = async ({ store }: Experiments, id: string): Promise<StoredExperiment> => {
    const stored = await store.find(id);
    if (!stored) throw notFound(id);
    return stored;
  };
  const register = (...routes: Parameters<typeof app.openAPIRegistry.registerPath>[0][]): void => {
    for (const route of routes) app.openAPIRegistry.registerPath(route);
  };
  register(createExperimentRoute, listRoute, retrieveRoute, changeRoute, deleteRoute, resultsRoute);

  app.post("/v1/experiments", async (c) => {
    const { by, service } = admit(c);
    const spec = validate(experimentRequestSchema, await readJson(c.req.raw));
    if (spec.end !== undefined && Date.parse(spec.end) <= now()) throw refusedValue("end", "'end' is over already.");
    const quarantines = await deps.scores.loadQuarantines((promise) => c.executionCtx.waitUntil(promise));
    checkArms(spec, { catalogue: deps.catalogue, weights: await weightsToChooseFrom(deps), quarantines });
    const stored = await service.store.create(spec.id, (all) => {
      const next = newExperiment(spec, newSecret(), now());
      checkOverlap(next, all, now());
      return { next, entry: { at: now(), action: "create", by, detail: next.spec } };
    });
    if (!stored) throw refusedValue("id", `There is or was an experiment '${spec.id}': choose another id.`);
    await service.running.reload();
    return c.json(experimentReply(stored, now()), 200);
  });

  app.get("/v1/experiments", async (c) => {
    const { service } = admit(c);
    const all = await service.store.list();
    return c.json({ object: "list", data: all.map((stored) => experimentReply(stored, now())) }, 200);
  });

  app.get("/v1/experiments/:id", async (c) => {
    const { service } = admit(c);
    const id = c.req.param("id");
    const stored = await find(service, id);
    const log = (await service.store.log(id)).map((entry) => ({ ...entry, at: new Date(entry.at).toISOString() }));
    return c.json({ ...experimentReply(stored, now()), log }, 200);
  });

  app.patch("/v1/experiments/:id", async (c) => {
    const { by, service } = admit(c);
    const id = c.req.param("id");
    const patch = validate(experimentPatchSchema, await readJson(c.req.raw));
    const stored = await service.store.change(id, (current, all) => {
      const change = changed(current, patch, { by, now: now() });
      if (change.next.stoppedAt === undefined) checkOverlap(change.next, all, now());
      return change;
    });
    if (!stored) throw notFound(id);
    await service.running.reload();
    return c.json(experimentReply(stored, now()), 200);
  });

  app.delete("/v1/experiments/:id", async (c) => {
    const { by, service } = admit(c);
    const id = c.req.param("id");
    if (!(await service.store.remove(id, { at: now(), action: "delete", by, detail: {} }))) throw notFound(id);
    await service.running.reload();
    return c.json({ id, object: "experiment", deleted: true }, 200);
  });

  app.get("/v1/experiments/:id/results", async (c) => {
    const { service } = admit(c);
    const query = validate(resultsQuery, c.req.query());
    const stored = await find(service, c.req.param("id"));
    const epoch = query.epoch === undefined ? comparingEpoch(stored) : Number(query.epoch);
    if (epoch >= stored.epochs.length) {
      throw refusedValue("epoch", `There is no epoch ${epoch}: the last is ${stored.epochs.length - 1}.`);
    }
    return c.json(resultsReply(await service.resultsOf(stored, epoch, now()), stored, now()), 200);
  });
};

const newSecret = (): string =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
