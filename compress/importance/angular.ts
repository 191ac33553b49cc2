// Angular distance over n consecutive layers at the last token: the run of n layers that turns its input least goes as a whole. Gromov et
// al., "The Unreasonable Ineffectiveness of the Deeper Layers" (arXiv 2403.17887), section 3.2.
import { type Criterion, rank } from "./criterion.ts";
import { unitsOf } from "./units.ts";

export const angular: Criterion = {
  id: "angular",
  title: "Angular distance over consecutive layers, last token",
  source: "The Unreasonable Ineffectiveness of the Deeper Layers (arXiv 2403.17887)",
  value:
    "mean angle between the last token's states before and after a layer, as a share of a half turn; low is dispensable",
  targets: ["block"],
  usual: ["block"],
  async measure({ model, states }) {
    const { angular: distances } = await states();
    const values = unitsOf(model.shape, "block").map((unit) => ({
      ...unit,
      value: distances[0]?.[unit.layer] as number,
    }));
    const runs = distances.map((byFirst, n) => {
      const value = Math.min(...byFirst);
      return { layers: n + 1, first: byFirst.indexOf(value), value };
    });
    return { values, order: rank(values, "lowest"), runs };
  },
};
