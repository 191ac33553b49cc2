// Public API of scoring: likelihoods of given texts and generated answers, by an engine.
export { createEngineScorer } from "./engine-scorer.ts";
export { type LikelihoodRequest, type ScoreAnswer, type ScoreRequest, type Scorer, ScoringError } from "./scorer.ts";
