// One line of JSON for each request. Fields are listed here so that no prompt, text or key can get in.

export interface RequestRecord {
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern, never the path that was asked for. */
  route: string;
  status: number;
  /** As the request has it: a served variant's id, or `auto`. */
  model?: string;
  /** What answered. */
  variant?: string;
  promptTokens?: number;
  completionTokens?: number;
  finishReason?: string;
  /** The error's code; `client_gone` when the client left before the end. */
  error?: string;
  stream?: boolean;
  /** The decision that chose the variant, what it foretold at the share that budgets are held against, and how it came out. */
  decision?: string;
  rule?: string;
  predictedMs?: { readonly ttft: number; readonly tpot: number; readonly latency: number };
  actualMs?: { readonly ttft: number | null; readonly tpot: number | null; readonly latency: number };
  /** Limits of the budget that were broken. */
  broke?: readonly string[];
  /** From the request's arrival to the reply's last byte. */
  ms: number;
}

/** What went wrong in a way that nobody foresaw. */
export interface FailureRecord {
  readonly requestId: string;
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
}

export interface Log {
  request(record: RequestRecord): void;
  failure(record: FailureRecord): void;
}

export const consoleLog: Log = {
  request: (record) => console.log(JSON.stringify({ event: "request", ...record })),
  failure: (record) => console.error(JSON.stringify({ event: "failure", ...record })),
};
