-- Scores that the service measures on what it serves. Rows come through the queue of src/storage, whose tables.ts lists the columns.
-- Times are milliseconds since 1970.

-- A run of a task on a variant: the row grows with its items until the run is finished, and then stays. `evidence` is the natural
-- logarithm of the e-process of src/monitor/evidence.ts.
CREATE TABLE scores (
  id TEXT PRIMARY KEY,
  number INTEGER NOT NULL,
  variant TEXT NOT NULL,
  variant_digest TEXT NOT NULL,
  engine TEXT NOT NULL,
  engine_digest TEXT NOT NULL,
  task TEXT NOT NULL,
  data_digest TEXT NOT NULL,
  items INTEGER NOT NULL,
  total INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  compared INTEGER NOT NULL,
  discordant INTEGER NOT NULL,
  evidence REAL NOT NULL,
  metrics TEXT NOT NULL,
  ms INTEGER NOT NULL,
  measured_at INTEGER NOT NULL,
  finished INTEGER NOT NULL
);
CREATE INDEX scores_by_variant ON scores (variant, task, measured_at);

-- One item of a run, so that two variants, or the same one then and now, can be compared in pairs. `id` is the run's with the item's
-- number; `result` is null where `error` says why there is none; `discordant` is null where there was no record to compare with.
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
CREATE INDEX items_by_run ON items (run, measured_at);

-- Variants whose served results are not the recorded ones. A row holds for its digests and until `lifted_at` is set.
CREATE TABLE quarantine (
  id TEXT PRIMARY KEY,
  variant TEXT NOT NULL,
  variant_digest TEXT NOT NULL,
  engine_digest TEXT NOT NULL,
  reason TEXT NOT NULL,
  at INTEGER NOT NULL,
  lifted_at INTEGER
);
CREATE INDEX quarantine_by_variant ON quarantine (variant, at);
