// The door of grammar-constrained decoding: a grammar and a vocabulary in, a mask for the sampler out.
export { createMatcher, type Matcher, type MatcherOptions } from "./matcher.ts";
export { GrammarError } from "./recognizer.ts";
export { buildTree, readTree, type VocabularyTree, writeTree } from "./vocabulary.ts";
