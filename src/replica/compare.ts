// Shadow scoring: an answer of one variant teacher-forced through another, in the time that generations leave and on the share of work that
// they earn. Both variants go through the tokens side by side, a few rows of logits at a time, so that memory stays bounded.

import {
  type Divergence,
  divergenceOf,
  type Engine,
  EngineError,
  type Pace,
  type Sequence,
  type StepInput,
} from "../engine/index.ts";
import { type Batcher, GaveWayError } from "../scheduler/index.ts";
import type { Plan } from "../variants/index.ts";
import type { CompareReply, CompareRequest } from "./protocol.ts";
import type { WorkShare } from "./share.ts";

/** Tokens of the reply that both variants take in at once: 1.6 MB of logits with a vocabulary of 49,152. */
const ROWS = 4;
/** Multiply-adds of the engine that take as long as comparing two logits. */
const WORK_PER_LOGIT = 900;

export interface CompareOptions {
  /** The plan that gave the answer, and the one that is held against it; both over weights of one engine. */
  readonly reference: Plan;
  readonly plan: Plan;
  readonly engine: Engine;
  readonly batcher: Batcher;
  readonly share: WorkShare;
  readonly request: Pick<CompareRequest, "promptIds" | "replyIds" | "scope">;
}

/** @throws what is nobody's fault but the replica's */
export async function compareAnswer(options: CompareOptions): Promise<CompareReply> {
  const { reference, plan, engine, batcher, share, request } = options;
  const { name, digest } = engine;
  const tokens = request.promptIds.length + request.replyIds.length;
  const { vocab } = plan.base.config;
  const work =
    tokens * (reference.costs.multiplyAdds + plan.costs.multiplyAdds) +
    request.replyIds.length * vocab * WORK_PER_LOGIT;
  if (!share.covers(work)) return { state: "busy", reason: "share" };
  try {
    const rows = await batcher.whileIdle((pace) =>
      compareRows(options, (multiplyAdds) => {
        share.spend(multiplyAdds);
        return pace(multiplyAdds);
      }),
    );
    const mean = (of: (row: Divergence) => number): number => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
    return {
      state: "compared",
      engine: name,
      digest,
      tokens: rows.length,
      kl: mean(({ kl }) => kl),
      agreement: mean(({ agrees }) => Number(agrees)),
      nll: mean(({ nll }) => nll),
    };
  } catch (error) {
    if (error instanceof GaveWayError) return { state: "busy", reason: "live" };
    if (error instanceof EngineError) return { state: "failed", engine: name, digest, message: error.message };
    throw error;
  }
}

/** One entry for each token of the reply. */
async function compareRows({ reference, plan, engine, request }: CompareOptions, pace: Pace): Promise<Divergence[]> {
  const { promptIds, replyIds, scope } = request;
  const opened: Sequence[] = [];
  try {
    for (const each of [reference, plan]) {
      opened.push(await engine.open(each, promptIds.length + replyIds.length - 1, scope));
    }
    await prefill(engine, opened, promptIds, pace);
    const rows: Divergence[] = [];
    const inputs = [promptIds.at(-1) as number, ...replyIds.slice(0, -1)];
    for (let at = 0; at < inputs.length; at += ROWS) {
      const tokens = inputs.slice(at, at + ROWS);
      const [a, b] = await engine.step(
        opened.map((sequence): StepInput => ({ sequence, tokens, logits: "all" })),
        pace,
      );
      if (!a || !b) throw new Error("the engine gave no rows for a step");
      const vocab = a.length / tokens.length;
      for (const [row] of tokens.entries()) {
        const [from, to] = [row * vocab, (row + 1) * vocab];
        for (const [side, { id }] of [[a, reference] as const, [b, plan] as const]) {
          if (!Number.isFinite(side[from])) throw new EngineError("not_finite", `${id} computed NaN or infinity`);
        }
        rows.push(divergenceOf(a.subarray(from, to), b.subarray(from, to), replyIds[at + row] as number));
        const pause = pace(vocab * WORK_PER_LOGIT);
        if (pause) await pause;
      }
    }
    return rows;
  } finally {
    for (const sequence of opened) sequence.close();
  }
}

/** Takes in the prompt but for its last token. What is computed is shared with the client's later requests, and with a second attempt. */
async function prefill(engine: Engine, sequences: readonly Sequence[], promptIds: readonly number[], pace: Pace) {
  const end = promptIds.length - 1;
  for (const sequence of sequences) sequence.reuse?.(promptIds);
  for (;;) {
    const behind = sequences.filter(({ length }) => length < end);
    if (behind.length === 0) return;
    const room = Math.max(1, Math.floor(engine.maxChunk / behind.length));
    const inputs = behind.map((sequence): StepInput => {
      const tokens = promptIds.slice(sequence.length, Math.min(sequence.length + room, end));
      return { sequence, tokens, logits: "none" };
    });
    await engine.step(inputs, pace);
    for (const sequence of behind) sequence.share?.();
  }
}
