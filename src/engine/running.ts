// One generation that holds a sequence: what goes into its next step, and what comes of it.
import type { Generation } from "./generation.ts";
import { usedTokens } from "./sampling/index.ts";
import { dueAt, type Waiting } from "./turns.ts";
import { EngineError, type Sequence, type StepInput } from "./types.ts";

export interface Running extends Waiting {
  readonly generation: Generation;
  readonly sequence: Sequence;
  /** It has taken over what was there of its prompt; before that it may not step. */
  readonly begun: boolean;
  /** Its prompt is computed. */
  readonly decoding: boolean;
  /** Its reader has not taken the last token yet. */
  readonly paused: boolean;
  readonly over: boolean;
  /** Tokens given so far. */
  readonly generated: number;
  /** Takes over what the engine holds of the prompt already. */
  begin(): void;
  /** The next chunk of the prompt, or the last token. */
  nextInput(): StepInput;
  /** @throws EngineError `not_finite`, and what the generation's callbacks throw */
  take(input: StepInput, logits: Float32Array): void;
  finish(): void;
  fail(error: unknown): void;
  /** Frees the sequence; what it holds is shared when all of it was computed. */
  close(): void;
}

export interface RunningOptions {
  readonly generation: Generation;
  readonly sequence: Sequence;
  /** When the generation was asked for, by `now`. */
  readonly askedAt: number;
  now(): number;
  /** Most tokens of a step. */
  readonly maxChunk: number;
  /** Called when it is over or no longer paused. */
  readonly onChange: () => void;
}

export function createRunning({ generation, sequence, askedAt, now, maxChunk, onChange }: RunningOptions): Running {
  const { promptIds, promptLikelihoods: top, maxTokens, matcher, allowed } = generation;
  /** All likelihoods of the prompt so far; as long as they will be. */
  const rows = new Float32Array(top === undefined ? 0 : (promptIds.length - 1) * (1 + 2 * top));
  /** Prompt tokens that have gone in; undefined before it has begun. */
  let prefilled: number | undefined;
  /** The last token sampled, not yet in the KV cache. */
  let next: number | undefined;
  let generated = 0;
  let firstAt: number | undefined;
  let steppedAt = askedAt;
  let paused = false;
  let over = false;
  /** What the sequence holds may not all be computed. */
  let failed = false;

  const finish = (): void => {
    over = true;
    onChange();
  };

  const share = (): void => sequence.share?.(top === undefined ? undefined : { top, rows });

  /** Where no token is wanted, the generation ends with the prompt's likelihoods. */
  function endAfterPrompt(): void {
    if (maxTokens > 0 || over || (prefilled ?? 0) < promptIds.length - 1) return;
    share();
    generation.onEnd("length");
    finish();
  }

  /** Draws the next token and tells it. */
  function draw(logits: Float32Array): void {
    const mask = matcher?.mask() ?? usedTokens(sequence.plan.base.config);
    const token = generation.sampler.next(logits, sequence.length, mask);
    const { id } = token;
    if (generation.endIds.includes(id)) {
      generation.onEnd("stop", token);
      return finish();
    }
    matcher?.accept(id);
    next = id;
    generated++;
    firstAt ??= now();
    const pending = generation.onToken(token);
    if (matcher?.over || generated === maxTokens) {
      generation.onEnd(matcher?.over ? "stop" : "length");
      return finish();
    }
    if (!pending) return;
    paused = true;
    pending.then(() => {
      paused = false;
      onChange();
    }, finish);
  }

  return {
    generation,
    sequence,
    get begun() {
      return prefilled !== undefined;
    },
    get decoding() {
      return next !== undefined;
    },
    get paused() {
      return paused;
    },
    get over() {
      return over;
    },
    get generated() {
      return generated;
    },
    due: (at) => dueAt({ allowed, askedAt, firstAt, tokens: generated, maxTokens }, at),
    get steppedAt() {
      return steppedAt;
    },
    begin() {
      const known = sequence.reuse?.(promptIds, top);
      prefilled = sequence.length;
      generation.onStart?.(sequence.length);
      if (known && known.length > 0) {
        rows.set(known);
        generation.onPrompt?.(known);
      }
      endAfterPrompt();
    },
    nextInput() {
      if (next !== undefined) return { sequence, tokens: [next], logits: "last" };
      const from = prefilled ?? 0;
      const end = from + maxChunk;
      if (top === undefined || from === promptIds.length - 1) {
        return { sequence, tokens: promptIds.slice(from, end), logits: end < promptIds.length ? "none" : "last" };
      }
      // Without the last token: what comes after it is drawn.
      const tokens = promptIds.slice(from, Math.min(end, promptIds.length - 1));
      return { sequence, tokens, logits: { targets: promptIds.slice(from + 1, from + 1 + tokens.length), top } };
    },
    take(input, logits) {
      const from = prefilled ?? 0;
      steppedAt = now();
      if (next === undefined) prefilled = from + input.tokens.length;
      if (input.logits === "none" || over) return;
      const width = typeof input.logits === "object" ? 1 + 2 * input.logits.top : logits.length;
      if (hasSpoiledRow(logits, width)) {
        throw new EngineError(
          "not_finite",
          `${sequence.plan.id} computed NaN or infinity at position ${sequence.length}: ask another variant`,
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
      if (next !== undefined && !failed) share();
      sequence.close();
    },
  };
}

/** A row in which a NaN or an infinity came up is all NaN. */
function hasSpoiledRow(rows: Float32Array, width: number): boolean {
  for (let at = 0; at < rows.length; at += width) if (Number.isNaN(rows[at])) return true;
  return false;
}
