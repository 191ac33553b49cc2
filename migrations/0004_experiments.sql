-- A/B experiments. Times are milliseconds since 1970. `experiments` and steps of `experiment_log` are written by the endpoints and by verdicts; the
-- other rows come through the queue of src/storage, whose tables.ts lists the columns.

-- `spec` is the JSON that src/experiments/schema.ts defines, `epochs` a JSON array of {"from", "layout"}, the current epoch last. `secret` keys the
-- hash that assigns units. `version` counts the steps of the log. A deleted experiment keeps its id: late rows of it must not count for another.
CREATE TABLE experiments (
  id TEXT PRIMARY KEY,
  spec TEXT NOT NULL,
  epochs TEXT NOT NULL,
  secret TEXT NOT NULL,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  stopped_at INTEGER,
  deleted_at INTEGER
);

-- What was done to an experiment, by whom (a key's id, or `verdict`), and the evidence. The id of a step is its number among the steps of all
-- experiments, so that two steps at once cannot both be the next.
CREATE TABLE experiment_log (
  id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL,
  at INTEGER NOT NULL,
  action TEXT NOT NULL,
  by TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX experiment_log_by_experiment ON experiment_log (experiment, at);

-- That a unit met its arm; once per unit and epoch. `unit` is a keyed hash.
CREATE TABLE exposures (
  id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  unit TEXT NOT NULL,
  arm TEXT NOT NULL,
  place INTEGER NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX exposures_by_experiment ON exposures (experiment, epoch, at);

-- One value of one metric of one request, in the metric's unit; once per request and metric.
CREATE TABLE outcomes (
  id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  unit TEXT NOT NULL,
  arm TEXT NOT NULL,
  request TEXT NOT NULL,
  metric TEXT NOT NULL,
  value REAL NOT NULL,
  begun_at INTEGER NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX outcomes_by_experiment ON outcomes (experiment, epoch, metric, id);

-- What a completion belongs to, so that a rating of it finds its arm.
CREATE TABLE completions (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  experiment TEXT NOT NULL,
  epoch INTEGER NOT NULL,
  unit TEXT NOT NULL,
  arm TEXT NOT NULL,
  begun_at INTEGER NOT NULL
);
CREATE INDEX completions_by_experiment ON completions (experiment);

-- Ratings, one a completion, with what was said. The rating itself counts as an outcome.
CREATE TABLE feedback (
  id TEXT PRIMARY KEY,
  experiment TEXT NOT NULL,
  rating REAL NOT NULL,
  text TEXT,
  at INTEGER NOT NULL
);
CREATE INDEX feedback_by_experiment ON feedback (experiment, at);
