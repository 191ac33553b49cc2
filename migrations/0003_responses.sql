-- Responses that are kept, so that clients can retrieve them and go on from them. `key` is an id made of the API key's digest: a key sees its
-- own only. `response` is the JSON that GET /v1/responses/{id} tells, `input` the items that it was given, those of the responses before it
-- among them, so that none of these has to be there still. Times are milliseconds since 1970.
CREATE TABLE responses (
  id TEXT PRIMARY KEY,
  key TEXT NOT NULL,
  status TEXT NOT NULL,
  response TEXT NOT NULL,
  input TEXT NOT NULL,
  expires_at INTEGER NOT NULL
);
CREATE INDEX responses_by_expiry ON responses (expires_at);
