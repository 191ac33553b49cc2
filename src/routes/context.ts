// What every route gets: the gateway's dependencies, and the record of the request that it serves.
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { RequestIdVariables } from "hono/request-id";
import type { Access } from "../access/index.ts";
import type { Experiments } from "../experiments/live/index.ts";
import type { ShadowQueue } from "../experiments/shadow/index.ts";
import type { Limiter, Verdict } from "../limits/index.ts";
import type { Scoreboard } from "../monitor/index.ts";
import { ApiError, ClientGoneError, toApiError } from "../openai/index.ts";
import type { Replica } from "../replica/protocol.ts";
import type { ResponseJob, ResponseKeeping } from "../responses/index.ts";
import type { Router } from "../routing/index.ts";
import type { Failing } from "../storage/index.ts";
import type { Log, RequestRecord } from "../telemetry/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { BaseModel } from "../variants/base.ts";
import type { Catalogue } from "../variants/catalogue.ts";

export interface GatewayDeps {
  readonly catalogue: Catalogue;
  /** The replica that holds a weight set. */
  replicaOf(weightsId: string): Replica;
  tokenizerOf(base: BaseModel): Tokenizer;
  /** What was measured of the variants, and which are under quarantine. */
  readonly scores: Scoreboard;
  /** Keys that clients may use, as `createAuthorizationCheck` reads them. */
  readonly apiKeys: string;
  readonly router: Router;
  /** Holds keys to their requests and tokens a minute. */
  readonly limiter: Limiter;
  /** Where responses are kept. Default: nowhere. */
  readonly responses?: ResponseKeeping | undefined;
  /** A/B experiments on live traffic. Default: there are none. */
  readonly experiments?: Experiments | undefined;
  /** The queue of a base model's answers that are scored under other variants. Default: none are. */
  shadowOf?(baseId: string): ShadowQueue;
  /** Why nothing is kept of what happens, while that is so. Default: it is never known. */
  storageFailing?(): Failing | undefined;
  /** A reply that has not ended after this long is stopped. */
  readonly deadlineMs: number;
  readonly log: Log;
  /** Milliseconds since 1970. */
  now(): number;
  /** A new id, of letters and digits. */
  newId(): string;
}

export interface AppEnv {
  Bindings: {
    /** Only of a request that a background response's object makes: no client can set it. */
    readonly job?: ResponseJob;
  };
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
export function reportError(c: Context<AppEnv>, log: Log, error: unknown): ApiError {
  const known = toApiError(error);
  const record = c.get("record");
  if (error instanceof ClientGoneError) {
    record.error = "client_gone";
  } else {
    record.error = known.code;
    if (!(error instanceof ApiError) && known.code !== "invalid_value") {
      const { name, message, stack, cause } = error instanceof Error ? error : new Error(String(error));
      const because = cause instanceof Error ? `${message}: ${cause.message}` : message;
      log.failure({ requestId: record.requestId, name, message: because, stack });
    }
  }
  return known;
}
