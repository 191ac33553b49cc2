// The criteria. A new one is a file and a line here.
import { angular } from "./angular.ts";
import type { Criterion } from "./criterion.ts";
import { greedy } from "./greedy.ts";
import { influence } from "./influence.ts";
import { perplexity } from "./perplexity.ts";
import { similarity } from "./similarity.ts";

export const CRITERIA: ReadonlyMap<string, Criterion> = new Map(
  [similarity, influence, angular, perplexity, greedy].map((criterion) => [criterion.id, criterion]),
);
