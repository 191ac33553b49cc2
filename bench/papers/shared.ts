// Columns that several papers have.
import { costsOf, stepTime } from "../../src/routing/costs.ts";
import { type Column, digits, percent } from "./paper.ts";

export const hellaswag: Column = {
  id: "hellaswag",
  title: "HellaSwag acc_norm, %",
  write: percent,
  kind: "score",
  task: "hellaswag",
  metric: "acc_norm",
  items: "3-9993:10",
};

export const arcEasy: Column = {
  id: "arc-easy",
  title: "ARC-Easy acc_norm, %",
  write: percent,
  kind: "score",
  task: "arc-easy",
  metric: "acc_norm",
  items: "3-2373:5",
};

export const arcChallenge: Column = {
  id: "arc-challenge",
  title: "ARC-Challenge acc_norm, %",
  write: percent,
  kind: "score",
  task: "arc-challenge",
  metric: "acc_norm",
  items: "0-1170:3",
};

/** By the answers' text: the letters are read at chance by a model of this size. */
export const mmlu: Column = {
  id: "mmlu",
  title: "MMLU acc_norm, by text, %",
  write: percent,
  kind: "score",
  task: "mmlu-continuation",
  metric: "acc_norm",
  items: "3-14031:28",
};

export const truthfulqa: Column = {
  id: "truthfulqa",
  title: "TruthfulQA MC1, %",
  write: percent,
  kind: "score",
  task: "truthfulqa-mc1",
  metric: "acc",
  items: "0-812:2",
};

/** One generated token on the reference machine of the router's costs. */
export const tokenTime = (context: number): Column => ({
  id: `token-${context}`,
  title: `ms a token after ${context.toLocaleString("en")}`,
  write: digits(1),
  kind: "cost",
  of: (plan) => stepTime(costsOf(plan), context),
});

export const kvBytes: Column = {
  id: "kv",
  title: "KV a token at 16 bits, KiB",
  write: digits(1),
  kind: "cost",
  of: ({ costs }) => costs.kvBytes / 1024,
};
