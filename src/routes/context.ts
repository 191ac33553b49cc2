// What every route gets: the gateway's dependencies, and the record of the request that it serves.
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import type { Access } from "../access/index.ts";
import type { Limiter, Verdict } from "../limits/index.ts";
import type { Scoreboard } from "../monitor/index.ts";
import type { ApiError } from "../openai/index.ts";
import type { ResponseKeeping } from "../responses/index.ts";
import type { ServingDeps } from "../serving/index.ts";
import type { Failing } from "../storage/index.ts";
import type { Log, RequestRecord } from "../telemetry/index.ts";
import { noteError } from "./errors.ts";

export interface GatewayDeps extends ServingDeps {
  /** What was measured of the variants, and which are under quarantine. */
  readonly scores: Scoreboard;
  /** Keys that clients may use, as `createAuthorizationCheck` reads them. */
  readonly apiKeys: string;
  /** Holds keys to their requests and tokens a minute. */
  readonly limiter: Limiter;
  /** Where responses are kept. Default: nowhere. */
  readonly responses?: ResponseKeeping | undefined;
  /** Why nothing is kept of what happens, while that is so. Default: it is never known. */
  storageFailing?(): Failing | undefined;
}

export interface AppEnv {
  Variables: RequestIdVariables & {
    record: RequestRecord;
    /** Set for every path under /v1. */
    access: Access;
    /** How it stands with the key's limits, where it has some. */
    limits?: Verdict;
    /** What the reply's header `x-franken-warning` says. */
    warnings?: readonly string[];
    /** Settles when a streamed reply has ended, which is after its handler has returned. */
    settled?: Promise<void>;
  };
}

export type App = OpenAPIHono<AppEnv>;
/** Adds one family of endpoints to the app. */
export type AddRoutes = (app: App, deps: GatewayDeps) => void;

/** Notes an error in the request's record, logs it if nobody foresaw it, and gives what the client gets to know. */
export const reportError = (c: Context<AppEnv>, log: Log, error: unknown): ApiError =>
  noteError(c.get("record"), log, error);
