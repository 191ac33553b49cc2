// What every endpoint that generates does between its request and its reply: finds the model, chooses the variant, starts the choices, and
// sees to it that all of it ends when the reply does.
import type { Context } from "hono";
import type { Admission } from "../limits/index.ts";
import {
  ApiError,
  type Ask,
  AUTO,
  type ChoiceEvent,
  type Downshift,
  fingerprintOf,
  type Generation,
  mergeChoices,
  type Prompt,
  readBudget,
  startGeneration,
  type TokenCounts,
} from "../openai/index.ts";
import { admit } from "../routes/admit.ts";
import type { AppEnv, GatewayDeps } from "../routes/context.ts";
import { warn } from "../routes/warning.ts";
import { type Budget, timeLeft } from "../routing/index.ts";
import type { Tokenizer } from "../tokenizer/index.ts";
import type { Variant } from "../variants/catalogue.ts";
import { type Participation, participate } from "./arm.ts";
import { chooseVariant, conclude } from "./choose.ts";
import { startDeadline } from "./deadline.ts";
import { offerToShadow } from "./shadow.ts";

/** Choices of one request that are generated at once; the others wait. */
const MAX_AT_ONCE = 8;

export interface Answer {
  readonly variant: string;
  /** Unix seconds. */
  readonly created: number;
  readonly tokenizer: Tokenizer;
  readonly prompts: readonly Prompt[];
  /** Choices there are: `n` for the first prompt, then as many for the next. */
  readonly count: number;
  /** What comes of them; leaving the loop ends them. */
  readonly events: AsyncGenerator<ChoiceEvent, void, undefined>;
  /** Of the choices so far. */
  usage(): TokenCounts;
  /** Of the first choice. */
  readonly downshifts: readonly Downshift[];
  /** Known once a token has come. */
  fingerprint(): string;
  /** Aborted when the client leaves or time is up. */
  readonly signal: AbortSignal;
}

/** A reply that goes on after its handler has returned. */
export interface StreamedReply {
  readonly response: Response;
  /** Settles when the stream has ended, in whatever way. */
  readonly settled: Promise<void>;
}

/**
 * @param id that the reply will have
 * @param read parses and checks the request; may be the reply already, with nothing to generate
 * @param reply makes the reply, and reads the answer's events to their end unless it fails
 * @throws ApiError and what else the two throw
 */
export async function answer(
  c: Context<AppEnv>,
  deps: GatewayDeps,
  id: string,
  read: () => Promise<Ask | Response>,
  reply: (answer: Answer) => Promise<Response | StreamedReply>,
): Promise<Response> {
  const arrivedAt = deps.now();
  const { signal, release } = startDeadline(c, deps.deadlineMs);
  const over = Promise.withResolvers<void>();
  // The runtime drops a handler whose client has left, unless something is to be waited for: the end has to be noted all the same.
  c.executionCtx.waitUntil(over.promise);
  let settled: Promise<void> | undefined;
  let admission: Admission | undefined;
  /** Gives the tokens that were used. */
  let stop = (_failure?: unknown): number => 0;
  const end = (failure?: unknown): void => admission?.settle(stop(failure));
  let failure: unknown;
  try {
    admission = await admit(c, deps);
    const ask = await read();
    if (ask instanceof Response) return ask;
    const started = await start(c, deps, { id, ask, arrivedAt, signal, admission });
    stop = started.end;
    const replied = await reply(started.answer);
    if (replied instanceof Response) return replied;
    settled = replied.settled
      .then(() => end())
      .finally(release)
      .finally(over.resolve);
    c.set("settled", settled);
    return replied.response;
  } catch (error) {
    failure = error;
    throw error;
  } finally {
    if (!settled) {
      end(failure);
      release();
      over.resolve();
    }
  }
}

interface StartOptions {
  readonly id: string;
  readonly ask: Ask;
  readonly arrivedAt: number;
  readonly signal: AbortSignal;
  readonly admission: Admission;
}

async function start(c: Context<AppEnv>, deps: GatewayDeps, { id, ask, arrivedAt, signal, admission }: StartOptions) {
  const asked = readBudget((name) => c.req.header(name), ask.budget, c.get("access").budget);
  const record = c.get("record");
  const { base, pinned, tokenizer, prompts } = await readPrompts(c, deps, ask);
  const promptTokens = prompts.reduce((sum, { ids }) => sum + ids.length, 0);
  record.promptTokens = promptTokens;
  await admission.reserve(promptTokens + ask.n * prompts.reduce((sum, { maxTokens }) => sum + maxTokens, 0));
  const part = await participate(c, deps, id, ask);
  const budget = budgetIn(c, ask, part) ?? asked;
  const routed = await chooseVariant(c, deps, {
    model: ask.model,
    mayShorten: ask.mayShorten,
    budget,
    promptTokens,
    maxTokens: Math.max(...prompts.map(({ maxTokens }) => maxTokens)),
    arrivedAt,
    pinned: pinned && ask.model,
    base: base.id,
    arm: part?.arm,
  });
  const { variant } = routed.decision;
  const { plan } = deps.catalogue.get(variant) as Variant;
  record.variant = variant;
  const replica = deps.replicaOf(plan.base.id);
  routed.sent();
  const seed = ask.seed ?? randomSeed();
  const generations: Generation[] = [];
  const starts = prompts.flatMap(({ ids, maxTokens }) =>
    Array.from({ length: ask.n }, () => (own: AbortSignal): Generation => {
      const choice = generations.length;
      // One request's pace and place in the queue are its first choice's.
      const followed = choice === 0;
      const requestId = followed ? c.get("requestId") : `${c.get("requestId")}.${choice}`;
      const id = `gen_${deps.newId()}`;
      const generation = startGeneration({
        replica,
        tokenizer,
        signal: own,
        stop: ask.stop,
        unstopped: ask.unstopped,
        grammarField: ask.grammarField,
        now: deps.now,
        ...(followed
          ? {
              onStatus: routed.told,
              onStart(cached: number, room: number | undefined) {
                routed.started(cached);
                // The gateway learns what a replica has room for with its first reply.
                if (room !== undefined && !ask.mayShorten)
                  warn(c, `the reply's length lowered from ${maxTokens} to ${room}`);
              },
              onToken() {
                const lighter = routed.token();
                // It may come too late: then the answer ends as it is.
                if (lighter) replica.switchVariant(id, lighter).catch(() => {});
              },
              onVariant: routed.switched,
            }
          : {}),
        request: {
          id,
          requestId,
          variant,
          promptIds: ids,
          maxTokens,
          scope: c.get("access").keyId,
          background: c.env.job !== undefined,
          ...ask.sampling,
          seed,
          choice,
          logprobs: ask.logprobs,
          promptLogprobs: ask.promptLogprobs,
          grammar: ask.grammar,
          allowed: timeLeft(budget, deps.now() - arrivedAt),
          deadlineMs: Math.max(1, deps.deadlineMs - (deps.now() - arrivedAt)),
        },
      });
      generations.push(generation);
      return generation;
    }),
  );
  const sum = (of: (generation: Generation) => number): number =>
    generations.reduce((total, generation) => total + of(generation), 0);
  const answer: Answer = {
    variant,
    created: Math.floor(deps.now() / 1000),
    tokenizer,
    prompts,
    count: starts.length,
    events: mergeChoices(starts, MAX_AT_ONCE, signal),
    usage: () => ({
      promptTokens,
      completionTokens: sum(({ completionTokens }) => completionTokens),
      // The choices of one prompt find it computed by the first, which is no earlier request.
      cachedTokens: prompts.reduce((total, _, i) => total + (generations[i * ask.n]?.cachedTokens ?? 0), 0),
    }),
    get downshifts() {
      return generations[0]?.downshifts ?? [];
    },
    fingerprint: () => fingerprintOf(plan, generations[0]?.digest ?? ""),
    signal,
  };
  const end = (failure?: unknown): number => {
    const completionTokens = sum((generation) => generation.completionTokens);
    record.completionTokens = completionTokens;
    const outcome = conclude(
      c,
      routed,
      generations.reduce((most, { readerMs }) => Math.max(most, readerMs), 0),
    );
    part?.ended(outcome, failure);
    const [first] = generations;
    if (part && first && outcome?.complete && first.downshifts.length === 0) {
      const promptIds = prompts[0]?.ids ?? [];
      offerToShadow(c, deps, base.id, { part, reference: variant, promptIds, replyIds: first.completionIds });
    }
    return promptTokens + completionTokens;
  };
  return { answer, end };
}

/** The budget with an arm's policy as defaults below the key's; undefined where the arm has no policy. */
function budgetIn(c: Context<AppEnv>, ask: Ask, part: Participation | undefined): Budget | undefined {
  const policy = part?.assignment.assigned.policy;
  if (!policy) return undefined;
  const { prefer, quantile, allow_research } = policy;
  const defaults = { prefer, quantile, allow_research, ...c.get("access").budget };
  return readBudget((name) => c.req.header(name), ask.budget, defaults);
}

/**
 * Finds the model and has its prompts read.
 * @throws ApiError `model_not_found`, and what reading them throws
 */
export async function readPrompts(c: Context<AppEnv>, { catalogue, router, tokenizerOf }: GatewayDeps, ask: Ask) {
  const pinned = catalogue.get(ask.model);
  // A request that leaves the choice to the gateway gets a variant of the base that is listed first.
  const base = (pinned ?? [...catalogue.values()][0])?.plan.base;
  if (!base || (!pinned && ask.model !== AUTO)) {
    throw new ApiError(
      "model_not_found",
      `The model '${ask.model.slice(0, 100)}' does not exist. GET /v1/models lists the models there are.`,
      { param: "model" },
    );
  }
  c.get("record").model = ask.model;
  c.get("record").stream = ask.stream;
  const tokenizer = tokenizerOf(base);
  const prompts = await ask.prompts(tokenizer, router.roomOf(base.id, pinned && ask.model));
  warn(c, ...ask.warnings, ...prompts.flatMap(({ warning }) => warning ?? []));
  return { base, pinned, tokenizer, prompts };
}

const randomSeed = (): number => crypto.getRandomValues(new Uint32Array(1))[0] as number;
