// Text into likelihood requests, token for token as lm-evaluation-harness 0.4 does for a causal model of transformers.

import type { LikelihoodRequest } from "../src/scoring/index.ts";
import { endOfText } from "./python.ts";
import type { TaskTools } from "./task.ts";

/**
 * A context with several continuations (`_encode_pair`): white space at the end of the context goes to the continuation, both are encoded
 * together, and what is beyond the context's own tokens is the continuation. The context begins as texts do for this tokenizer.
 */
export async function encodeContinuations(
  { encode, startIds }: TaskTools,
  context: string,
  continuations: readonly string[],
): Promise<LikelihoodRequest> {
  const end = endOfText(context);
  const alone = await encode(context.slice(0, end));
  const whole = await Promise.all(continuations.map((continuation) => encode(context + continuation)));
  return {
    type: "likelihood",
    context: [...startIds, ...alone],
    continuations: whole.map((ids) => ids.slice(alone.length)),
  };
}

/**
 * Windows over a text's tokens that score each token once (`get_rolling_token_windows` with `make_disjoint_window`, context 1): the first
 * begins with the prefix token, the next ones with the token before, and the last reaches back so that it has a whole window of context.
 * @param window most tokens that go into the model at once
 */
export function rollingWindows(ids: readonly number[], prefixId: number, window: number): LikelihoodRequest[] {
  const all = [prefixId, ...ids];
  const requests: LikelihoodRequest[] = [];
  for (let done = 0; done < ids.length; ) {
    const count = Math.min(window, ids.length - done);
    const end = done + count;
    // In `all`, the token before `ids[done]` is at `done`, and a window reaches from `end - window` up to there.
    const from = done === 0 ? 0 : Math.max(0, end - window);
    requests.push({
      type: "likelihood",
      context: all.slice(from, done + 1),
      continuations: [ids.slice(done, end)],
    });
    done = end;
  }
  return requests;
}
