// Asks a service for the likeliest tokens, which are the same wherever it runs.
import type { Client } from "../../bench/service-process.ts";

/** The tokens that a variant answers a question with at temperature 0, and their log-probabilities. */
export async function askLikeliest({ openai }: Client, model: string, max_tokens: number) {
  const { choices } = await openai.chat.completions.create({
    model,
    temperature: 0,
    max_tokens,
    logprobs: true,
    messages: [{ role: "user", content: "What is the capital of Italy?" }],
  });
  return choices[0]?.logprobs?.content;
}
