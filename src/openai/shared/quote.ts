// The start of a value that a client sent, for an error message. `String()` would call a `toString` that a client may have sent as well.

const SHOWN = 40;

export const quote = (value: unknown): string =>
  `'${(typeof value === "string" ? value : String(JSON.stringify(value))).slice(0, SHOWN)}'`;
