// The door of sampling: logits in, token ids with log-probabilities out. Pure, and the same bits on every machine.

export { logSumExp, type TokenLogprob, topLogprobs } from "./logprobs.ts";
export { createSampler, type Sampled, type Sampler, type SamplerOptions, SamplingError } from "./sampler.ts";
export { usedTokens } from "./used.ts";
