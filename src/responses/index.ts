// The door of stored and background responses.
import type { BackgroundLine } from "../limits/index.ts";
import type { ResponseRunner } from "./runner.ts";
import type { ResponseStore } from "./store.ts";

export { JobError, type ResponseJob, type ResponseRunner, type RunJob } from "./runner.ts";
export { createResponseStore, type ResponseStore, type StoredResponse, whyNotStorable } from "./store.ts";

/** What a deployment with a database can do. */
export interface ResponseKeeping {
  readonly store: ResponseStore;
  /** The object that runs a background response. Found anew for each event: a stub belongs to the event in which it was made. */
  runnerOf(id: string): ResponseRunner;
  /** Where a key's background responses stand in line. */
  lineOf(keyId: string): BackgroundLine;
}
