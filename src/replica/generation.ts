// One generation of a replica, from the request to the end of its stream: deadline, cancel, errors and the line in the log.

import { createMatcher, GrammarError, type VocabularyTree } from "../engine/grammar/index.ts";
import { EngineError, readLikelihoods } from "../engine/index.ts";
import { createSampler, type Sampled, type TokenLogprob } from "../engine/sampling/index.ts";
import type { Batcher, Refusal, Submitted } from "../scheduler/index.ts";
import type { Plan } from "../variants/index.ts";
import { createOutbox } from "./outbox.ts";
import type { Frame, FrameToken, GenerateRequest, ReplicaErrorCode, StatusFrame } from "./protocol.ts";

/** Tokens of a prompt in a frame: with the likeliest beside them, a line stays below what its reader takes. */
const PROMPT_TOKENS = 16;

export interface Ready {
  readonly plan: Plan;
  readonly batcher: Batcher;
  /** What a request with a grammar needs. */
  readonly vocabulary?: VocabularyTree | undefined;
}

export interface GenerationOptions {
  readonly request: GenerateRequest;
  /** The plan and what runs it, which may still be loading. Rejects with what went wrong. */
  readonly ready: Promise<Ready>;
  /** How it stands with the replica now; undefined for a variant that it does not serve. */
  status(): StatusFrame | undefined;
  /** Receives one entry when the generation is over, and one more when it failed for a reason that only the log should name. */
  readonly log: (entry: object) => void;
  /** Called once, when nothing more will come. */
  readonly onOver?: () => void;
}

export interface StreamedGeneration {
  /** Its frames; cancelling the stream stops it. */
  readonly readable: ReadableStream<Uint8Array>;
  /** Goes on under another plan, which a `variant` frame tells. @throws EngineError, or Error when the generation is over */
  switchPlan(plan: Plan): Promise<void>;
}

export function streamGeneration({ request, ready, status, log, onOver }: GenerationOptions): StreamedGeneration {
  const { requestId, deadlineMs } = request;
  const started = Date.now();
  let submitted: Submitted | undefined;
  /** Of the plan at work, which may be another than the one asked for. */
  let variant = request.variant;
  let tokens = 0;
  let over = false;

  const conclude = (outcome: string): void => {
    over = true;
    clearTimeout(deadline);
    submitted?.cancel();
    onOver?.();
    const promptTokens = request.promptIds.length;
    const ms = Date.now() - started;
    log({ event: "generation", requestId, variant: request.variant, promptTokens, tokens, outcome, ms });
  };
  const outbox = createOutbox(() => conclude("client_gone"));
  const end = (frame: Extract<Frame, { type: "end" | "error" }>): void => {
    if (over) return;
    outbox.end(frame);
    conclude(frame.type === "end" ? frame.reason : frame.code);
  };
  const fail = (code: ReplicaErrorCode, message: string): void => end({ type: "error", code, message });
  const failWith = (error: unknown): void => {
    if (error instanceof EngineError && error.code === "not_finite") {
      log({ event: "not_finite", requestId, variant, position: request.promptIds.length + tokens });
    }
    if (error instanceof EngineError && error.code !== "bad_plan") return fail(error.code, error.message);
    if (error instanceof GrammarError) return fail("grammar_failed", error.message);
    log({ event: "replica_error", requestId, message: error instanceof Error ? error.message : String(error) });
    fail("internal", "the replica failed; its log has the reason under this request's id");
  };
  const frameToken = (token: Sampled): FrameToken =>
    request.logprobs === undefined
      ? { id: token.id }
      : { id: token.id, logprob: token.logprob, top: pairsOf(token.top) };
  /** Prompt tokens that went out. */
  let told = 0;
  const sendPrompt = (rows: Float32Array, top: number): void => {
    const tokens = readLikelihoods(rows, top).map(({ logprob, likeliest }): FrameToken => {
      told++;
      return { id: request.promptIds[told] as number, logprob, top: pairsOf(likeliest) };
    });
    for (let at = 0; at < tokens.length; at += PROMPT_TOKENS) {
      void outbox.send({ type: "prompt", tokens: tokens.slice(at, at + PROMPT_TOKENS) });
    }
  };
  const deadline = setTimeout(
    () => fail("deadline_exceeded", `the reply was not finished within ${deadlineMs} ms`),
    deadlineMs,
  );

  const tellStatus = (): StatusFrame | undefined => {
    const frame = status();
    if (frame) void outbox.send(frame);
    return frame;
  };
  const early = tellStatus();
  ready
    .then(({ plan, batcher, vocabulary }) => {
      if (over) return;
      if (early?.state !== "ready") tellStatus();
      const refusal = request.choice ? undefined : batcher.refusal(request);
      if (refusal) return end(refusalFrame(refusal));
      const { grammar, logitBias, logprobs, promptLogprobs } = request;
      const endIds = plan.base.config.eosTokenIds;
      const room = Math.max(1, batcher.capacityOf(plan) - request.promptIds.length);
      const maxTokens = Math.min(request.maxTokens, room);
      const lowered = maxTokens < request.maxTokens ? { maxTokens } : {};
      submitted = batcher.submit({
        plan,
        promptIds: request.promptIds,
        maxTokens,
        endIds,
        matcher: grammar && vocabulary && createMatcher({ grammar, vocabulary, endIds }),
        allowed: request.allowed,
        scope: request.scope,
        background: request.background,
        promptLikelihoods: promptLogprobs,
        sampler: createSampler({ ...request, logitBias: new Map(logitBias), topLogprobs: logprobs }),
        onStart: (cached) => void outbox.send({ type: "start", cached, ...lowered }),
        onPrompt: (rows) => sendPrompt(rows, promptLogprobs ?? 0),
        onToken(token) {
          tokens++;
          return outbox.send({ type: "token", ...frameToken(token) });
        },
        onEnd(reason, token) {
          end({ type: "end", reason, ...(token && logprobs !== undefined ? { token: frameToken(token) } : {}) });
        },
        onError: failWith,
      });
    })
    .catch(failWith);
  return {
    readable: outbox.readable,
    async switchPlan(plan) {
      await ready;
      if (over || !submitted) throw new Error("the generation is over");
      const fromToken = await submitted.switchPlan(plan);
      variant = plan.id;
      log({ event: "plan_switched", requestId, variant: plan.id, fromToken });
      void outbox.send({ type: "variant", id: plan.id, fromToken });
    },
  };
}

/** More choices of a request that was taken are never refused: few of them are here at a time. */
function refusalFrame({ because, waitMs, retryMs }: Refusal): Extract<Frame, { type: "error" }> {
  const wait = `would wait for about ${Math.ceil(waitMs / 1000)} s`;
  return because === "key"
    ? {
        type: "error",
        code: "key_overloaded",
        retryMs,
        message: `Requests of this API key are waiting already; another one ${wait}.`,
      }
    : { type: "error", code: "overloaded", retryMs, message: `There is too much to do: a request ${wait}.` };
}

const pairsOf = (likeliest: readonly TokenLogprob[]): [number, number][] =>
  likeliest.map(({ id, logprob }) => [id, logprob]);
