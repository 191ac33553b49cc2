// One generation under way: what goes into its next step, and what comes of it. It holds a sequence or waits for
// one; a sequence that was taken away is computed anew, which gives the same bits.

import { EngineError, type Prompt, type Sequence, type StepInput } from "../engine/index.ts";
import { usedTokens } from "../engine/sampling/index.ts";
import type { Plan } from "../variants/index.ts";
import type { Generation } from "./generation.ts";
import { type Applicant, DECODE_UNITS, shareKey } from "./shares.ts";
import { dueAt, type Waiting } from "./turns.ts";

export interface Job extends Waiting, Applicant {
  readonly generation: Generation;
  /** Most tokens that its sequence will hold. */
  readonly capacity: number;
  /** What to open a sequence under: the plan that it began with. */
  readonly firstPlan: Plan;
  /** What it will take over of others' tokens or of its own. */
  readonly known: Prompt;
  /** Undefined while it waits for one. */
  readonly sequence: Sequence | undefined;
  /** It has taken over what is there of its tokens; before that it may not step. */
  readonly begun: boolean;
  /** Computes again what it had when its sequence was taken away. */
  readonly recomputing: boolean;
  /** Since when its reader has not taken the last token; undefined when it has. */
  readonly pausedAt: number | undefined;
  readonly over: boolean;
  /** Tokens given so far. */
  readonly generated: number;
  passedAt: number | undefined;
  /** Units of work that are left. @param meanTokens what an answer takes that is not limited further */
  unitsLeft(meanTokens: number): number;
  attach(sequence: Sequence): void;
  /** Gives its sequence up; what it holds is shared, and may still be there when it gets another one. */
  detach(): void;
  /** Takes over what the engine holds of its tokens already. */
  begin(): void;
  /** While it recomputes: the plan to go on under before the next step. */
  readonly switchDue: Plan | undefined;
  /** The sequence goes on under another plan than before, and does so again when it is computed anew. */
  switched(): void;
  /** The next chunk of the prompt, or the last token. */
  nextInput(): StepInput;
  /** @throws EngineError `not_finite`, and what the generation's callbacks throw */
  take(input: StepInput, logits: Float32Array): void;
  finish(): void;
  fail(error: unknown): void;
  /** Frees the sequence; what it holds is shared when all of it was computed. */
  close(): void;
}

export interface JobOptions {
  readonly generation: Generation;
  /** When the generation was asked for, by `now`. */
  readonly askedAt: number;
  now(): number;
  /** Most tokens of a step. */
  readonly maxChunk: number;
  /** Called when it is over, paused or no longer paused. */
  readonly onChange: () => void;
}

export function createJob({ generation, askedAt, now, maxChunk, onChange }: JobOptions): Job {
  const { promptIds, promptLikelihoods: top, maxTokens, matcher, allowed, scope } = generation;
  /** All likelihoods of the prompt so far; as long as they will be. */
  const rows = new Float32Array(top === undefined ? 0 : (promptIds.length - 1) * (1 + 2 * top));
  /** The prompt, and the reply so far. */
  const ids = [...promptIds];
  /** Plans, and how many tokens were computed before each. */
  const plans: { readonly plan: Plan; readonly from: number }[] = [{ plan: generation.plan, from: 0 }];
  let sequence: Sequence | undefined;
  let begun = false;
  /** Tokens that were computed, in this sequence or one before it. */
  let computed = 0;
  /** The last token sampled, not yet in the KV cache. */
  let next: number | undefined;
  let generated = 0;
  let firstAt: number | undefined;
  let steppedAt = askedAt;
  let passedAt: number | undefined;
  let pausedAt: number | undefined;
  let over = false;
  /** What the sequence holds may not all be computed. */
  let failed = false;

  const finish = (): void => {
    over = true;
    onChange();
  };
  const held = (): Sequence => {
    if (!sequence) throw new Error("the generation holds no sequence");
    return sequence;
  };
  const isRecomputing = (): boolean => begun && held().length < computed;
  const share = (): void => held().share?.(top === undefined ? undefined : { top, rows });
  const whatIsKnown = (): Prompt =>
    computed === 0 ? { tokens: promptIds, top } : { tokens: ids.slice(0, plans[1]?.from ?? computed) };

  /** Where no token is wanted, the generation ends with the prompt's likelihoods. */
  function endAfterPrompt(): void {
    if (maxTokens > 0 || over || computed < promptIds.length - 1) return;
    share();
    generation.onEnd("length");
    finish();
  }

  /** Draws the next token and tells it. */
  function draw(logits: Float32Array): void {
    const own = held();
    const mask = matcher?.mask() ?? usedTokens(own.plan.base.config);
    const token = generation.sampler.next(logits, own.length, mask);
    const { id } = token;
    if (generation.endIds.includes(id)) {
      generation.onEnd("stop", token);
      return finish();
    }
    matcher?.accept(id);
    next = id;
    ids.push(id);
    generated++;
    firstAt ??= now();
    const pending = generation.onToken(token);
    if (matcher?.over || generated === maxTokens) {
      generation.onEnd(matcher?.over ? "stop" : "length");
      return finish();
    }
    if (!pending) return;
    pausedAt = now();
    pending.then(() => {
      pausedAt = undefined;
      onChange();
    }, finish);
  }

  return {
    generation,
    key: shareKey(scope, generation.background),
    capacity: promptIds.length + maxTokens,
    get firstPlan() {
      return (plans[0] as (typeof plans)[number]).plan;
    },
    get known() {
      return whatIsKnown();
    },
    get sequence() {
      return sequence;
    },
    get begun() {
      return begun;
    },
    get recomputing() {
      return sequence !== undefined && (!begun || isRecomputing()) && computed > 0;
    },
    get decoding() {
      return next !== undefined && begun && !isRecomputing();
    },
    get pausedAt() {
      return pausedAt;
    },
    get over() {
      return over;
    },
    get generated() {
      return generated;
    },
    get steppedAt() {
      return steppedAt;
    },
    get passedAt() {
      return passedAt;
    },
    set passedAt(at) {
      passedAt = at;
    },
    due: (at) => dueAt({ allowed, askedAt, firstAt, tokens: generated, maxTokens }, at),
    unitsLeft(meanTokens) {
      const known = begun && sequence ? sequence.length : 0;
      const prompt = Math.max(promptIds.length, computed) - known;
      return prompt + DECODE_UNITS * Math.min(maxTokens - generated, meanTokens);
    },
    attach(given) {
      sequence = given;
      begun = false;
      passedAt = undefined;
    },
    detach() {
      if (begun && !failed && held().length > 0) held().share?.();
      held().close();
      sequence = undefined;
      begun = false;
    },
    begin() {
      begun = true;
      const own = held();
      if (computed > 0) return void own.reuse?.(whatIsKnown().tokens);
      const known = own.reuse?.(promptIds, top);
      computed = own.length;
      generation.onStart?.(own.length);
      if (known && known.length > 0) {
        rows.set(known);
        generation.onPrompt?.(known);
      }
      endAfterPrompt();
    },
    get switchDue() {
      if (!isRecomputing()) return undefined;
      const { length, plan } = held();
      const then = plans.findLast(({ from }) => from <= length)?.plan;
      return then === plan ? undefined : then;
    },
    switched() {
      const { length, plan } = held();
      if (plans.at(-1)?.from === length) plans.pop();
      plans.push({ plan, from: length });
    },
    nextInput() {
      const own = held();
      const from = own.length;
      if (from < computed) {
        const end = Math.min(computed, from + maxChunk, plans.find((each) => each.from > from)?.from ?? computed);
        return { sequence: own, tokens: ids.slice(from, end), logits: "none" };
      }
      if (next !== undefined) return { sequence: own, tokens: [next], logits: "last" };
      const end = from + maxChunk;
      if (top === undefined || from === promptIds.length - 1) {
        return { sequence: own, tokens: promptIds.slice(from, end), logits: end < promptIds.length ? "none" : "last" };
      }
      // Without the last token: what comes after it is drawn.
      const tokens = promptIds.slice(from, Math.min(end, promptIds.length - 1));
      const targets = promptIds.slice(from + 1, from + 1 + tokens.length);
      return { sequence: own, tokens, logits: { targets, top } };
    },
    take(input, logits) {
      const own = held();
      const from = own.length - input.tokens.length;
      steppedAt = now();
      if (own.length <= computed) return;
      computed = own.length;
      if (input.logits === "none" || over) return;
      const width = typeof input.logits === "object" ? 1 + 2 * input.logits.top : logits.length;
      if (hasSpoiledRow(logits, width)) {
        throw new EngineError(
          "not_finite",
          `${own.plan.id} computed NaN or infinity at position ${own.length}: ask another variant`,
        );
      }
      if (typeof input.logits === "object") {
        rows.set(logits, from * width);
        generation.onPrompt?.(logits);
        return endAfterPrompt();
      }
      if (next === undefined) share();
      draw(logits);
    },
    finish,
    fail(error) {
      if (!over) generation.onError(error);
      failed = true;
      finish();
    },
    close() {
      if (!sequence) return;
      if (next !== undefined && !failed && !isRecomputing()) share();
      sequence.close();
      sequence = undefined;
    },
  };
}

/** A row in which a NaN or an infinity came up is all NaN. */
function hasSpoiledRow(rows: Float32Array, width: number): boolean {
  for (let at = 0; at < rows.length; at += width) if (Number.isNaN(rows[at])) return true;
  return false;
}
