// Public API of what turns token ids into logits: the interface of engines, reading of weights and
// of likelihoods. Each engine, sampling and masks have a door of their own, in their folders.
export { type Divergence, divergenceOf } from "./divergence.ts";
export { readLikelihoods } from "./likelihoods.ts";
export { asPyTorch, type Rope, rotations, stretchOf } from "./rope.ts";
export {
  type Engine,
  EngineError,
  type EngineName,
  type LogitsWanted,
  MAX_LIKELIEST,
  type Pace,
  type Prompt,
  type Sequence,
  type StepInput,
} from "./types.ts";
export { fromHalf, type OpenFile, readParts } from "./weights.ts";
