// One request on its way through the gateway, whatever it came by: HTTP, or the alarm of a
// background response.
import type { Experiments } from "../experiments/live/index.ts";
import type { ShadowQueue } from "../experiments/shadow/index.ts";
import type { Admission } from "../limits/index.ts";
import type { Replica } from "../replica/index.ts";
import type { Router } from "../routing/index.ts";
import type { Log, RequestRecord } from "../telemetry/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { BaseModel, Catalogue } from "../variants/index.ts";

/** What every request shares. */
export interface ServingDeps {
  readonly catalogue: Catalogue;
  /** The replica that holds a weight set. */
  replicaOf(weightsId: string): Replica;
  tokenizerOf(base: BaseModel): Tokenizer;
  readonly router: Router;
  /** A/B experiments on live traffic. Default: there are none. */
  readonly experiments?: Experiments | undefined;
  /** The queue of a weight set's answers that are scored under other variants. Default: none are. */
  shadowOf?(weightsId: string): ShadowQueue;
  /** A reply that has not ended this long after its request came is stopped. */
  readonly deadlineMs: number;
  readonly log: Log;
  /** Milliseconds since 1970. */
  now(): number;
  /** A new id, of letters and digits. */
  newId(): string;
}

export interface RequestScope {
  readonly requestId: string;
  /** Id that the reply will have. */
  readonly replyId: string;
  /** Whose request it is: an id of the key, never the key. */
  readonly keyId: string;
  /** An experiment's audience may be told by them. */
  readonly headers: Headers;
  /** When the request came, milliseconds since 1970. */
  readonly arrivedAt: number;
  /** Aborted when the client leaves, if the runtime says so. */
  readonly signal: AbortSignal;
  /** Where the request's tokens are counted. */
  readonly admission: Admission;
  /** Nobody waits for the reply now. */
  readonly background: boolean;
  /** The request's line of the log. */
  readonly log: RequestRecord;
  /** Tells the client what of the request had no effect. */
  warn(...warnings: readonly string[]): void;
  /** Keeps the event open for what the reply does not wait for. */
  waitUntil(promise: Promise<unknown>): void;
}
