// What the tasks of multiple choice share: the likelihood of each choice after one context.
import { encodeContinuations } from "../encode.ts";
import type { ItemResult, MetricRule } from "../metrics.ts";
import { length } from "../python.ts";
import { type Item, likelihoodsOf, type TaskTools } from "../task.ts";

export interface Choices {
  readonly context: string;
  /** Each comes after the context and a space. */
  readonly choices: readonly string[];
  /** Place of the right choice. */
  readonly label: number;
}

/** `acc`: whether the likeliest choice is the right one. */
export const ACC: MetricRule = { name: "acc", kind: "mean", of: "acc", higherIsBetter: true };
/** `acc_norm`: whether the likeliest choice per character is. */
export const ACC_NORM: MetricRule = { name: "acc_norm", kind: "mean", of: "acc_norm", higherIsBetter: true };

/**
 * An item that gives what `ACC` and `ACC_NORM` are made of, as lm-evaluation-harness does
 * (`multiple_choice`).
 */
export const normalizedItem = (document: Choices, tools: TaskTools): Promise<Item> =>
  ask(document, tools, (logLikelihoods) => {
    const choice = likeliest(logLikelihoods);
    const perCharacter = logLikelihoods.map((value, i) => value / length(document.choices[i] as string));
    const choiceNorm = likeliest(perCharacter);
    return {
      acc: Number(choice === document.label),
      acc_norm: Number(choiceNorm === document.label),
      choice,
      choice_norm: choiceNorm,
      logLikelihoods,
    };
  });

/** An item that gives what `ACC` is made of. */
export const choiceItem = (document: Choices, tools: TaskTools): Promise<Item> =>
  ask(document, tools, (logLikelihoods) => {
    const choice = likeliest(logLikelihoods);
    return { acc: Number(choice === document.label), choice, logLikelihoods };
  });

async function ask(
  { context, choices }: Choices,
  tools: TaskTools,
  read: (logLikelihoods: readonly number[]) => ItemResult,
): Promise<Item> {
  const continuations = choices.map((choice) => ` ${choice}`);
  const request = await encodeContinuations(tools, context, continuations);
  return { requests: [request], read: ([answer]) => read(likelihoodsOf(answer)) };
}

/** The first of the highest. */
const likeliest = (values: readonly number[]): number => values.indexOf(Math.max(...values));
