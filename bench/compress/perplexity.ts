// Word perplexity of a compressed model in fp32 arithmetic: as the task `wiki-heldout`, of its first pages.
import { merged } from "../../compress/apply/linears.ts";
import { withChanges } from "../../compress/apply/overlay.ts";
import type { Checkpoint } from "../../compress/checkpoint.ts";
import { createForward, type Hidden, type Tokens } from "../../compress/forward/forward.ts";
import { readLayer } from "../../compress/forward/layer-weights.ts";
import type { Changes } from "../../compress/methods/models.ts";
import { openTokenizer } from "../../compress/tokenizer.ts";
import { root } from "../../scripts/build/paths.ts";
import { readShipped } from "../../scripts/eval/sources.ts";
import { rollingWindows } from "../../src/scores/encode.ts";
import { countWords } from "../../src/scores/python.ts";
import { SOURCES } from "../../src/scores/sources.ts";
import { WINDOW } from "../../src/scores/tasks/text.ts";

export interface Pages {
  readonly words: number;
  /** One sequence each, of which the last `scored` tokens count. */
  readonly windows: readonly { readonly tokens: Tokens; readonly scored: number }[];
}

/** The first pages of the held-out text. @param prefixId stands where a text begins */
export async function readPages(checkpoint: Checkpoint, count: number, prefixId: number): Promise<Pages> {
  const lines = Buffer.from(await readShipped(SOURCES["wiki-heldout"], root))
    .toString("utf8")
    .trimEnd()
    .split("\n");
  const texts = lines.slice(0, count).map((line) => (JSON.parse(line) as { text: string }).text);
  const { encode } = openTokenizer(checkpoint);
  const windows: Pages["windows"][number][] = [];
  for (const text of texts) {
    for (const { context, continuations } of rollingWindows(await encode(text), prefixId, WINDOW)) {
      const ids = Int32Array.from([...context, ...(continuations[0] ?? [])]);
      windows.push({ tokens: { sequences: 1, length: ids.length, ids }, scored: continuations[0]?.length ?? 0 });
    }
  }
  return { words: texts.reduce((sum, text) => sum + countWords(text), 0), windows };
}

export async function wordPerplexity(
  base: Checkpoint,
  { tensors, lowRank = [] }: Changes,
  { words, windows }: Pages,
): Promise<number> {
  const checkpoint = withChanges(base, tensors);
  const forward = createForward({ shape: checkpoint.shape });
  try {
    const table = await checkpoint.read("token_embd.weight");
    const states: Hidden[] = windows.map(({ tokens }) => forward.embed(table, tokens));
    for (const [layer] of checkpoint.shape.layers.entries()) {
      const weights = merged(
        await readLayer(checkpoint, layer),
        lowRank.filter((part) => part.layer === layer),
      );
      for (const x of states) await forward.layer(weights, x, { into: x });
    }
    const head = checkpoint.tensors.has("output.weight") ? await checkpoint.read("output.weight") : table;
    const norm = await checkpoint.read("output_norm.weight");
    let sum = 0;
    for (const [i, { tokens, scored }] of windows.entries()) {
      const nll = await forward.nll({ norm, head }, states[i] as Hidden, tokens);
      sum += nll.subarray(nll.length - scored).reduce((total, value) => total + value, 0);
    }
    return Math.exp(sum / words);
  } finally {
    await forward.close();
  }
}
