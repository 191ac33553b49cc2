// ARC (Clark et al., arXiv 1803.05457): science questions of school exams, in two sets. Prepared
// and scored as lm-evaluation-harness's tasks `arc_easy` and `arc_challenge`, version 1.0:
// lm_eval/tasks/arc/arc_easy.yaml.
import type { SourceId } from "../sources.ts";
import { defineTask, jsonLines, type Task } from "../task.ts";
import { ACC, ACC_NORM, normalizedItem } from "./choices.ts";

interface ArcDocument {
  /** Begins with `Question: `. */
  readonly query: string;
  readonly choices: readonly string[];
  readonly gold: number;
}

const arc = (id: SourceId & `arc-${string}`, set: string): Task =>
  defineTask<ArcDocument>({
    id,
    title: `ARC ${set} test: acc of the likeliest answer, acc_norm of the likeliest per character`,
    version: 1,
    source: id,
    metrics: [ACC, ACC_NORM],
    documents: jsonLines,
    item: ({ query, choices, gold }, tools) =>
      normalizedItem({ context: `${query}\nAnswer:`, choices, label: gold }, tools),
  });

export const arcEasy = arc("arc-easy", "easy");
export const arcChallenge = arc("arc-challenge", "challenge");
