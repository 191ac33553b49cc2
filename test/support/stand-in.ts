// Stand-ins for what surrounds the gateway: a replica that plays frames which a test gives it,
// routing that keeps what it learns in memory, and scores that nobody measured.
import catalogueJson from "../../dist/catalogue.json";
import { createScoreboard, type Scoreboard } from "../../src/monitor/index.ts";
import type { Frame, GenerateRequest, Replica, ReplicaStatus } from "../../src/replica/protocol.ts";
import { statusFrame } from "../../src/replica/status-frame.ts";
import { createQualityBook, type RouterStore } from "../../src/routing/index.ts";
import { POLICY } from "../../src/routing/question.ts";
import { newState } from "../../src/routing/state.ts";
import { type KeptDecision, learnReport } from "../../src/routing/store.ts";
import type { ServicesOptions } from "../../src/services.ts";
import { createTokenizer, type Tokenizer } from "../../src/tokenizer/index.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import { tokenizerJson } from "../tokenizer/load.ts";

export const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));

/** Frames in order; a number is a pause in ms, "never" waits until the stream is cancelled, "break" ends it without a last frame. */
export type Script = readonly (Frame | number | "never" | "break")[];

export const ready: ReplicaStatus = {
  state: "ready",
  progress: 1,
  error: undefined,
  engine: "stand-in",
  digest: "d1",
  residentBytes: 1000,
  queued: 0,
  running: 0,
};

export interface StandIn extends Replica {
  readonly requests: GenerateRequest[];
  cancelled: number;
  /** Variants that it was asked to go on with. */
  readonly switches: string[];
  /** Generations that it was asked to go on with them. */
  readonly switched: string[];
}

export function standIn(script: Script | ((request: GenerateRequest) => Script), status = () => ready): StandIn {
  const encoder = new TextEncoder();
  const self: StandIn = {
    requests: [],
    cancelled: 0,
    status: async () => status(),
    switches: [],
    switched: [],
    switchVariant: async (id, variant) => {
      self.switched.push(id);
      self.switches.push(variant);
      return true;
    },
    measure: async () => ({ state: "busy" }),
    compare: async () => ({ state: "busy", reason: "live" }),
    async generate(request) {
      self.requests.push(request);
      const steps = [...(typeof script === "function" ? script(request) : script)];
      const weightsId = catalogue.get(request.variant)?.plan.base.id ?? "";
      const early = await self.status(weightsId, false);
      const statuses: (() => Promise<Frame>)[] = [async () => statusFrame(early)];
      if (early.state !== "ready") statuses.push(async () => statusFrame(await self.status(weightsId, false)));
      let wake = (): void => {};
      return new ReadableStream<Uint8Array>(
        {
          async pull(controller) {
            for (;;) {
              const news = await statuses.shift()?.();
              if (news) return controller.enqueue(encoder.encode(`${JSON.stringify(news)}\n`));
              const step = steps.shift();
              if (step === undefined || step === "break") return controller.close();
              if (step === "never") return new Promise<void>((resolve) => (wake = resolve));
              if (typeof step === "number") await new Promise((resolve) => setTimeout(resolve, step));
              else return controller.enqueue(encoder.encode(`${JSON.stringify(step)}\n`));
            }
          },
          cancel() {
            self.cancelled++;
            wake();
          },
        },
        { highWaterMark: 0 },
      );
    },
  };
  return self;
}

export const end = { type: "end", reason: "stop" } as const;
export const wait = { type: "wait" } as const;
export const tokens = (ids: readonly number[]): Frame[] => ids.map((id) => ({ type: "token", id }));

let tokenizer: Tokenizer | undefined;
export const sharedTokenizer = (): Tokenizer => (tokenizer ??= createTokenizer(tokenizerJson));

/** Frames that say this text and end. */
export const saying = async (text: string): Promise<Script> => [
  ...tokens((await sharedTokenizer().encode(text)).ids),
  end,
];

/** Routing that keeps what it learns in memory. */
export function routingOptions(overrides: Partial<ServicesOptions["routing"]> = {}): ServicesOptions["routing"] {
  const state = newState();
  const kept = new Map<string, KeptDecision>();
  const store: RouterStore = {
    snapshot: async () => structuredClone(state),
    async report(reports) {
      for (const report of reports) {
        kept.set(report.record.id, report);
        learnReport(state, report, Date.now());
      }
    },
    find: async (id) => kept.get(id),
  };
  return {
    // Requests get ids at random: none of them is to explore.
    policy: { ...POLICY, explore: 0 },
    store: () => store,
    archive: { keep: async () => {}, find: async () => undefined },
    qualities: createQualityBook([], ""),
    quantile: 0.95,
    ...overrides,
  };
}

/** What a gateway without a database knows of scores: nothing. */
export const noScores = createScoreboard({
  catalogue,
  recorded: [],
  db: undefined,
  replicaOf: () => standIn([]),
  now: Date.now,
  log: () => {},
});

/** The same, with these variants under quarantine. */
export const quarantining = (...variants: string[]): Scoreboard => ({
  ...noScores,
  loadQuarantines: async () => new Map(variants.map((id) => [id, { reason: "it disagrees", since: 1 }])),
});
