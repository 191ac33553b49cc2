// The forward pass of the toolkit against PyTorch's fp32 on the real weights.
import { readFile } from "node:fs/promises";
import { afterAll, expect, it } from "vitest";
import { createForward } from "../../../compress/forward/forward.ts";
import { openModel } from "../../../compress/forward/model.ts";
import { tokenNll } from "../../../compress/forward/perplexity.ts";
import { openCheckpoint } from "../../../compress/open.ts";
import type { Slot } from "../../../src/variants/recipe.ts";

interface Vector {
  readonly slots: readonly Slot[];
  readonly cases: readonly { readonly prompt_ids: readonly number[]; readonly token_nll: readonly number[] }[];
}
const vectors: Record<string, Vector> = JSON.parse(
  await readFile(new URL("../../fixtures/reference/logit-vectors.json", import.meta.url), "utf8"),
);
const model = openModel(await openCheckpoint("smollm2-135m"));
const forward = createForward({ shape: model.shape });
afterAll(() => forward.close());

it.each(Object.keys(vectors))("agrees with PyTorch on %s", async (name) => {
  const { slots, cases } = vectors[name]!;
  for (const { prompt_ids, token_nll } of cases) {
    const tokens = { sequences: 1, length: prompt_ids.length, ids: Int32Array.from(prompt_ids) };
    const ours = await tokenNll(forward, model, slots, tokens);
    expect(ours).toHaveLength(token_nll.length);
    const worst = Math.max(...token_nll.map((expected, i) => Math.abs(expected - ours[i]!)));
    expect(worst).toBeLessThan(1e-3);
  }
});
