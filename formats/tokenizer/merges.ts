// Merges as GGUF has them: two tokens with a space between.

/**
 * A token that holds a space makes a merge of three words, which others would read as a merge of the first two. It is never applied: before
 * merges, both kinds of tokenizer here write a space as another sign.
 */
export const isPair = (merge: string): boolean => merge.split(" ").length === 2;
