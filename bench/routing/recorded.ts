// The scores that are committed with the project, as the gateway routes by them.
import { packRecorded } from "../../evaluation/offline/pack-recorded.ts";
import { createRecordedScores } from "../../src/monitor/recorded.ts";
import type { QualityBook } from "../../src/routing/index.ts";
import type { Catalogue } from "../../src/variants/catalogue.ts";
import { variantDigest } from "../../src/variants/digest.ts";
import { type Rung, withRungs } from "./ladder.ts";

/**
 * @param ladder made-up variants of the catalogue, with their scores
 * @throws Error when no variant has a recorded HellaSwag score
 */
export async function recordedQualities(catalogue: Catalogue, ladder: readonly Rung[] = []): Promise<QualityBook> {
  const digests = new Map([...catalogue].map(([id, { plan }]) => [id, variantDigest(plan)]));
  const qualities = withRungs(createRecordedScores(await packRecorded(), digests), catalogue, ladder);
  if (![...catalogue.keys()].some((variant) => qualities.of(variant)?.accNorm !== undefined)) {
    throw new Error(
      "no variant has a recorded HellaSwag score under scores/: record some with npm run eval, see docs/evaluate.md",
    );
  }
  return qualities;
}
