// Public API of storage: the outbox that fills D1, cached reads of it, and their errors. The
// Durable Object of the outbox, queue-object.ts, is only for the entry of the gateway.
export { type Cached, createCached } from "./cached.ts";
export { StorageError } from "./errors.ts";
export { createRecorder, type Failing, type Recorder, type RecordQueue } from "./recorder.ts";
export { insertStatement, type RowOf, TABLES, type TableName, type Value } from "./tables.ts";
