// One item of an evaluation, measured on the artifact that serves, in the time that generations leave.

import { type Engine, EngineError } from "../engine/index.ts";
import { type Batcher, GaveWayError } from "../scheduler/index.ts";
import { createEngineScorer, type ScoreAnswer, type ScoreRequest, ScoringError } from "../scoring/index.ts";
import type { Plan } from "../variants/index.ts";
import type { MeasureReply } from "./protocol.ts";

export interface MeasureOptions {
  readonly plan: Plan;
  readonly engine: Engine;
  readonly batcher: Batcher;
  readonly requests: readonly ScoreRequest[];
}

/** @throws what is nobody's fault but the replica's */
export async function measureItem({ plan, engine, batcher, requests }: MeasureOptions): Promise<MeasureReply> {
  const { name, digest } = engine;
  try {
    const answers = await batcher.whileIdle(async (pace) => {
      const scorer = createEngineScorer({ engine, plan, pace });
      const answers: ScoreAnswer[] = [];
      for (const request of requests) answers.push(await scorer.answer(request));
      return answers;
    });
    return { state: "measured", engine: name, digest, answers };
  } catch (error) {
    if (error instanceof GaveWayError) return { state: "busy" };
    if (error instanceof ScoringError || (error instanceof EngineError && error.code !== "out_of_memory")) {
      return { state: "failed", engine: name, digest, message: error.message };
    }
    throw error;
  }
}
