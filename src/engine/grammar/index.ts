// The door of grammar-constrained decoding: a grammar and a vocabulary in, a mask for the sampler out.
export { createMatcher, GrammarError, type Matcher, type MatcherOptions } from "./matcher.ts";
export { buildTree, readTree, type VocabularyTree, writeTree } from "./vocabulary.ts";
