// Block influence: one less the mean cosine similarity of a layer's input and output. Men et al., "ShortGPT: Layers in Large Language Models
// are More Redundant Than You Expect" (arXiv 2403.03853), equation 1.
import { type Criterion, rank } from "./criterion.ts";
import { unitsOf } from "./units.ts";

export const influence: Criterion = {
  id: "influence",
  title: "Block influence",
  source: "ShortGPT (arXiv 2403.03853)",
  value: "1 - mean cosine similarity of a layer's input and output; low is dispensable",
  targets: ["block"],
  usual: ["block"],
  async measure({ model, states }) {
    const { cosine } = await states();
    const values = unitsOf(model.shape, "block").map((unit) => ({
      ...unit,
      value: 1 - (cosine.block[unit.layer] as number),
    }));
    return { values, order: rank(values, "lowest") };
  },
};
