-- Decisions of routing: which variant answered a request, why, and how it came out. Rows come through the queue of src/storage, once an
-- answer has ended. `record` is the JSON that GET /v1/decisions/{id} tells; no text of prompt or answer is in it. `key` is an id made of
-- the API key's digest; `at` is in milliseconds since 1970.
CREATE TABLE decisions (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  variant TEXT NOT NULL,
  rule TEXT NOT NULL,
  at INTEGER NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX decisions_by_variant ON decisions (variant, at);
