// How long a generation is said to wait, and when it is refused.
import { describe, expect, it } from "vitest";
import { floodUntilRefused } from "./fairness.ts";

describe("a key that floods", () => {
  it("is refused beyond a minute's work, and is told when it will be taken, within 25 %", async () => {
    const { refusal, takenAfterMs, other } = await floodUntilRefused();
    expect(refusal.because).toBe("key");
    expect(refusal.waitMs).toBeGreaterThan(60_000);
    expect(takenAfterMs).toBeGreaterThan(0.75 * refusal.retryMs);
    expect(takenAfterMs).toBeLessThan(1.25 * refusal.retryMs);
    // Another key is not.
    expect(other).toBeUndefined();
  });
});
