// Cosine similarity of what goes into a part and what comes out of it, residual included: a part that hardly turns its input is dispensable.
// He et al., "What Matters in Transformers? Not All Attention is Needed" (arXiv 2406.15786): sublayer f compares x with x + f(norm(x)).
import { type Criterion, rank } from "./criterion.ts";
import { unitsOf } from "./units.ts";

export const similarity: Criterion = {
  id: "similarity",
  title: "Cosine similarity of input and output",
  source: "What Matters in Transformers? Not All Attention is Needed (arXiv 2406.15786)",
  value: "mean cosine similarity over tokens; high is dispensable",
  targets: ["block", "attention", "mlp", "joint"],
  usual: ["block", "attention", "mlp", "joint"],
  async measure({ model, states }, target) {
    const { cosine } = await states();
    const values = unitsOf(model.shape, target).map((unit) => ({
      ...unit,
      value: cosine[unit.part][unit.layer] as number,
    }));
    return { values, order: rank(values, "highest") };
  },
};
