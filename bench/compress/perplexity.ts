// Log-likelihoods of held-out articles under a compressed model in fp32 arithmetic, as the task `wiki-heldout` has them.

import { root } from "../../build/paths.ts";
import { merged } from "../../compress/apply/linears.ts";
import { withChanges } from "../../compress/apply/overlay.ts";
import { createForward, type Hidden, type Tokens } from "../../compress/forward/forward.ts";
import { readLayer } from "../../compress/forward/layer-weights.ts";
import type { Changes } from "../../compress/methods/models.ts";
import { openTokenizer } from "../../compress/tokenizer.ts";
import type { ItemResults } from "../../evaluation/compare.ts";
import { rollingWindows } from "../../evaluation/encode.ts";
import type { ItemResult } from "../../evaluation/metrics.ts";
import { readShipped } from "../../evaluation/offline/texts.ts";
import { countWords } from "../../evaluation/python.ts";
import { SOURCES } from "../../evaluation/sources.ts";
import { WINDOW } from "../../evaluation/tasks/text.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";

export interface Page {
  readonly words: number;
  /** One sequence each, of which the last `scored` tokens count. */
  readonly windows: readonly { readonly tokens: Tokens; readonly scored: number }[];
}

/** The first pages of the held-out text. @param prefixId stands where a text begins */
export async function readPages(checkpoint: Checkpoint, count: number, prefixId: number): Promise<readonly Page[]> {
  const lines = Buffer.from(await readShipped(SOURCES["wiki-heldout"], root))
    .toString("utf8")
    .trimEnd()
    .split("\n");
  const { encode } = openTokenizer(checkpoint);
  const pages: Page[] = [];
  for (const line of lines.slice(0, count)) {
    const { text } = JSON.parse(line) as { text: string };
    const windows = rollingWindows(await encode(text), prefixId, WINDOW).map(({ context, continuations }) => {
      const ids = Int32Array.from([...context, ...(continuations[0] ?? [])]);
      return { tokens: { sequences: 1, length: ids.length, ids }, scored: continuations[0]?.length ?? 0 };
    });
    pages.push({ words: countWords(text), windows });
  }
  return pages;
}

/** Each page's words and log-likelihood. */
export async function pageResults(
  base: Checkpoint,
  { tensors, lowRank = [] }: Changes,
  pages: readonly Page[],
): Promise<ItemResults> {
  const checkpoint = withChanges(base, tensors);
  const forward = createForward({ shape: checkpoint.shape });
  try {
    const table = await checkpoint.read("token_embd.weight");
    const states: Hidden[][] = pages.map(({ windows }) => windows.map(({ tokens }) => forward.embed(table, tokens)));
    for (const [layer] of checkpoint.shape.layers.entries()) {
      const weights = merged(
        await readLayer(checkpoint, layer),
        lowRank.filter((part) => part.layer === layer),
      );
      for (const x of states.flat()) await forward.layer(weights, x, { into: x });
    }
    const head = checkpoint.tensors.has("output.weight") ? await checkpoint.read("output.weight") : table;
    const norm = await checkpoint.read("output_norm.weight");
    const results = new Map<number, ItemResult>();
    for (const [page, { words, windows }] of pages.entries()) {
      let logLikelihood = 0;
      for (const [i, { tokens, scored }] of windows.entries()) {
        const nll = await forward.nll({ norm, head }, states[page]?.[i] as Hidden, tokens);
        for (const value of nll.subarray(nll.length - scored)) logLikelihood -= value;
      }
      results.set(page, { words, logLikelihood });
    }
    return results;
  } finally {
    await forward.close();
  }
}
