// Scores that a test makes up: the more a variant computes differently from its base, the worse. Items are right or wrong together, as
// with real variants of one base.
import { mulberry32 } from "../../evaluation/random.ts";
import { createQualityBook, type QualityBook } from "../../src/routing/quality.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";

/** acc_norm from 25 % (guessing) to 40.8 % (the base), over 1,000 items of which 5 in 100 differ by chance. */
export function madeUpQualities(catalogue: Catalogue, base: string): QualityBook {
  const next = mulberry32(7);
  const difficulty = Array.from({ length: 1000 }, next);
  const whole = catalogue.get(base)!.plan.costs.multiplyAdds;
  return createQualityBook(
    [...catalogue].map(([variant, { plan }], index) => {
      const change = Math.abs(1 - plan.costs.multiplyAdds / whole);
      const accuracy = 0.25 + 0.158 * Math.max(0, 1 - 3 * change);
      const own = mulberry32(100 + index);
      const hellaswag = difficulty.map((d) => (change > 0 && own() < 0.05 ? own() < accuracy : d < accuracy));
      return { variant, hellaswag: new Map(hellaswag.entries()) };
    }),
    base,
  );
}
