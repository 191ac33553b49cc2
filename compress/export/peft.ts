// A variant's adapter as a PEFT folder.
import { readAdapter } from "../../build/adapter.ts";
import { UserError } from "../../formats/error.ts";
import { readPairs } from "../../formats/peft/factors.ts";
import type { LowRankLinear } from "../../formats/peft/write.ts";
import { peftFiles } from "../../formats/peft/write.ts";
import type { SlotRecipe } from "../../src/variants/index.ts";
import { sublayerOf } from "../../src/variants/index.ts";
import type { Chunks, Output } from "../output.ts";

/**
 * Its layer numbers count the variant's slots, which are the layers of the model that `hf --unmerged` writes; where no layer is left out,
 * repeated or moved, those are the base's.
 * @param model what PEFT is to call the base
 * @throws UserError when the variant has no adapter
 */
export async function peftOutput(recipe: SlotRecipe, model: string): Promise<Output> {
  if (!recipe.adapter) throw new UserError(`${recipe.id} has no adapter, which --format peft is for`);
  const { numbering } = recipe.adapter;
  const { file, bytes, scaleOf } = await readAdapter(recipe.id, recipe.adapter).catch((error: Error) => {
    throw new UserError(error.message);
  });
  const pairs = readPairs(bytes, (problem) => new UserError(`${recipe.id}: adapter ${file}: ${problem}`));
  const linears = recipe.slots.flatMap((slot, index) =>
    pairs
      .filter(({ number, linear }) => {
        return slot[sublayerOf(linear)] && number === (numbering === "slots" ? index : slot.layer);
      })
      .map((pair): LowRankLinear => {
        const { linear, a, b } = pair;
        const scale = scaleOf(pair);
        const [rank = 0, cols = 0] = a.shape;
        const rows = b.shape[0] ?? 0;
        return { layer: index, linear, rows, cols, rank, a: a.values, b: b.values.map((value) => scale * value) };
      }),
  );
  const files = [...peftFiles({ linears }, model)].map(([name, content]): [string, Chunks] => [name, [content]]);
  return { kind: "folder", files: new Map(files) };
}
