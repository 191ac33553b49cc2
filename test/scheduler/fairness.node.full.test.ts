// The scheduler's promises over as many random loads as one has patience for.
import { it } from "vitest";
import { checkRandomLoads } from "./fairness.ts";

it("starves nobody, is never idle beside work, and keeps keys within a bounded distance in 10,000 random loads", async () => {
  await checkRandomLoads(10_000);
});
