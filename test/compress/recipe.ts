// Recipes as tests need them.
import type { Slot, SlotRecipe } from "../../src/variants/recipe.ts";

export const recipeOf = (slots: readonly Partial<Slot>[], more: Partial<SlotRecipe> = {}): SlotRecipe => ({
  id: "made-up",
  base: "tiny",
  title: "Made up",
  origin: { source: "a test", section: "none" },
  status: "research",
  slots: slots.map((slot) => ({ layer: 0, attn: true, mlp: true, ...slot })),
  ...more,
});

export const bytesOf = async (chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array> => {
  const all: Uint8Array[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
};
