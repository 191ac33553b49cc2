// A generation under way: its events, what is known of it so far, and what is settled once it has
// ended in whatever way.

import type { GenerateRequest, Replica } from "../replica/index.ts";
import { readFrames } from "../replica/index.ts";
import { type Budget, type DecisionRecord, type Routed, timeLeft } from "../routing/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { Plan } from "../variants/index.ts";
import { type AssignedArm, recordOutcome } from "./arm.ts";
import { followChoices } from "./choices.ts";
import type { Deadline } from "./deadline.ts";
import { ClientGoneError } from "./errors.ts";
import type { ChoiceEvent, Downshift, GenerationEvent, TokenCounts } from "./events.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { decode, newProgress, type Progress } from "./generate.ts";
import type { Prepared } from "./prepare.ts";
import type { Prompt } from "./prompt.ts";
import type { GenerationRequest } from "./request.ts";
import type { RequestScope, ServingDeps } from "./scope.ts";
import { offerToShadow } from "./shadow.ts";
import { track } from "./track.ts";

export interface RunOptions {
  readonly deps: ServingDeps;
  readonly scope: RequestScope;
  readonly request: GenerationRequest;
  readonly prepared: Prepared;
  readonly arm: AssignedArm | undefined;
  /** With what the arm adds. */
  readonly budget: Budget;
  readonly routed: Routed;
  /** Of the variant that was chosen. */
  readonly plan: Plan;
  readonly deadline: Deadline;
  /** Called once, when the run has ended. */
  onOver(): void;
}

export class GenerationRun {
  /** Why this variant answers, and what is predicted of it. */
  readonly decision: DecisionRecord;
  readonly variant: string;
  /** Unix seconds. */
  readonly created: number;
  readonly tokenizer: Tokenizer;
  readonly prompts: readonly Prompt[];
  /** Oldest items of the conversation that were left out. */
  readonly dropped: number;
  /** Choices there are: `n` for the first prompt, then as many for the next. */
  readonly count: number;
  /** Aborted when the client leaves or time is up. */
  readonly signal: AbortSignal;
  /**
   * What comes of the choices. Leaving the loop ends them all.
   * Throws ServingError, ReplicaGoneError, or ClientGoneError.
   */
  readonly events: AsyncIterableIterator<ChoiceEvent, void>;

  readonly #options: RunOptions;
  readonly #replica: Replica;
  readonly #seed: number | bigint;
  readonly #progress: Progress[] = [];
  readonly #following: AsyncGenerator<ChoiceEvent, void, undefined>;
  /** Choices that have come to their own end. */
  #ended = 0;
  #over = false;
  #readerMs = 0;
  #failure: unknown;
  #fingerprint: string | undefined;

  /** Starts the generation. */
  constructor(options: RunOptions) {
    const { deps, request, prepared, routed, plan, deadline } = options;
    this.#options = options;
    this.#replica = deps.replicaOf(plan.base.id);
    this.#seed = request.seed ?? randomSeed();
    this.decision = routed.record;
    this.variant = routed.decision.variant;
    this.created = Math.floor(deps.now() / 1000);
    this.tokenizer = prepared.tokenizer;
    this.prompts = prepared.prompts;
    this.dropped = prepared.dropped;
    this.count = prepared.prompts.length * request.n;
    this.signal = deadline.signal;
    routed.sent();
    this.#following = this.#follow();
    this.events = withFirst(this.#following);
  }

  /** Of the choices so far. */
  usage(): TokenCounts {
    const { n } = this.#options.request;
    return {
      promptTokens: this.#options.prepared.promptTokens,
      completionTokens: this.#progress.reduce((sum, { completionIds }) => sum + completionIds.length, 0),
      // The choices of one prompt find it computed by the first, which is no earlier request.
      cachedTokens: this.prompts.reduce((sum, _, i) => sum + (this.#progress[i * n]?.cachedTokens ?? 0), 0),
    };
  }

  /** Of the first choice. */
  get downshifts(): readonly Downshift[] {
    return this.#progress[0]?.downshifts ?? [];
  }

  /** Names what computes the reply. To be asked once a token has come: before, the weights may not be loaded. */
  get fingerprint(): string {
    this.#fingerprint ??= fingerprintOf(this.#options.plan, this.#progress[0]?.digest ?? "");
    return this.#fingerprint;
  }

  /** Ends the run, if it has not ended yet. @param failure what its reader failed of, if it did */
  async leave(failure?: unknown): Promise<void> {
    this.#failure ??= failure;
    if (!this.#over) this.#options.deadline.abort(failure ?? new ClientGoneError("nobody reads the reply"));
    await this.#following.return();
  }

  async *#follow(): AsyncGenerator<ChoiceEvent, void, undefined> {
    const { deps, scope } = this.#options;
    try {
      for await (const value of followChoices(this.count, (...at) => this.#start(...at), this.signal)) {
        if (value.event.type === "end") {
          this.#ended++;
          scope.log.finishReason = value.event.finishReason;
        }
        const given = deps.now();
        yield value;
        this.#readerMs += deps.now() - given;
      }
    } catch (error) {
      this.#failure ??= error;
      throw error;
    } finally {
      this.#settle();
    }
  }

  #start(choice: number, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, undefined> {
    const { request, routed, scope } = this.#options;
    const asked = this.#requestOf(choice);
    const onLowered = (room: number): void => {
      // The gateway learns what a replica has room for with its first reply.
      if (!request.mayShorten) scope.warn(`the reply's length lowered from ${asked.maxTokens} to ${room}`);
    };
    const progress = newProgress();
    this.#progress.push(progress);
    const frames = readFrames(this.#replica, asked, signal);
    // One request's pace and place in the queue are its first choice's.
    const tracked =
      choice === 0 ? track(frames, { replica: this.#replica, request: asked, routed, onLowered }) : frames;
    return decode(tracked, { ...request, tokenizer: this.tokenizer, progress });
  }

  #requestOf(choice: number): GenerateRequest {
    const { deps, scope, request, budget } = this.#options;
    const { ids, maxTokens } = this.prompts[Math.floor(choice / request.n)] as Prompt;
    const elapsedMs = deps.now() - scope.arrivedAt;
    return {
      id: `gen_${deps.newId()}`,
      requestId: choice === 0 ? scope.requestId : `${scope.requestId}.${choice}`,
      variant: this.variant,
      promptIds: ids,
      maxTokens,
      scope: scope.keyId,
      background: scope.background,
      ...request.sampling,
      seed: this.#seed,
      choice,
      logprobs: request.logprobs,
      promptLogprobs: request.promptLogprobs,
      grammar: request.grammar,
      allowed: timeLeft(budget, elapsedMs),
      deadlineMs: Math.max(1, deps.deadlineMs - elapsedMs),
    };
  }

  #settle(): void {
    const { deps, scope, arm, routed, prepared, deadline, onOver } = this.#options;
    this.#over = true;
    const { completionTokens } = this.usage();
    scope.log.completionTokens = completionTokens;
    const complete = this.#ended === this.count && this.#failure === undefined;
    const outcome = routed.ended({ complete, readerMs: this.#readerMs });
    if (outcome) {
      scope.log.actualMs = { ttft: outcome.ttft_ms, tpot: outcome.tpot_ms, latency: outcome.latency_ms };
      if (outcome.broke.length > 0) scope.log.broke = outcome.broke;
    }
    if (arm) {
      recordOutcome(deps, scope, arm, outcome, this.#failure);
      const [first] = this.#progress;
      if (first && outcome?.complete && first.downshifts.length === 0) {
        offerToShadow(deps, scope, {
          arm,
          weightsId: prepared.base.id,
          reference: this.variant,
          promptIds: this.prompts[0]?.ids ?? [],
          replyIds: first.completionIds,
        });
      }
    }
    scope.admission.settle(prepared.promptTokens + completionTokens);
    deadline.release();
    onOver();
  }
}

/** The same events, of which the first is asked for at once. */
function withFirst<T>(rest: AsyncGenerator<T, void, undefined>): AsyncIterableIterator<T, void> {
  let first: Promise<IteratorResult<T, void>> | undefined = rest.next();
  // Whoever reads it sees what it fails of.
  first.catch(() => {});
  return {
    next() {
      const next = first ?? rest.next();
      first = undefined;
      return next;
    },
    return: () => rest.return(),
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] as number;
