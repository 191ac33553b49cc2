-- Scores that the service measures on what it serves. Rows come through the queue of src/records, whose tables.ts lists the columns.
-- Times are milliseconds since 1970.

-- A finished run of a task on a variant. `id` names variant digest, engine digest, task, data digest and the run's number.
CREATE TABLE runs (
  id TEXT PRIMARY KEY,
  variant TEXT NOT NULL,
  variant_digest TEXT NOT NULL,
  engine TEXT NOT NULL,
  engine_digest TEXT NOT NULL,
  task TEXT NOT NULL,
  data_digest TEXT NOT NULL,
  items INTEGER NOT NULL,
  metrics TEXT NOT NULL,
  discordant INTEGER,
  failed INTEGER NOT NULL,
  ms INTEGER NOT NULL,
  finished_at INTEGER NOT NULL
);
CREATE INDEX runs_by_variant ON runs (variant, task, finished_at);

-- One item of a run, so that two variants, or the same one then and now, can be compared in pairs. `id` is the run's with the item's.
CREATE TABLE items (
  id TEXT PRIMARY KEY,
  run TEXT NOT NULL,
  item INTEGER NOT NULL,
  result TEXT,
  error TEXT,
  discordant INTEGER,
  ms INTEGER NOT NULL,
  measured_at INTEGER NOT NULL
);
CREATE INDEX items_by_run ON items (run, item);

-- What happened to variants whose served results are not the recorded ones: the latest event of a variant and its digests counts.
CREATE TABLE quarantine (
  id TEXT PRIMARY KEY,
  variant TEXT NOT NULL,
  variant_digest TEXT NOT NULL,
  engine_digest TEXT NOT NULL,
  event TEXT NOT NULL CHECK (event IN ('quarantined', 'lifted')),
  reason TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX quarantine_by_variant ON quarantine (variant, at);
