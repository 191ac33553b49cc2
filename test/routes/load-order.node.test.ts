import { expect, it } from "vitest";

it("describes schemas of rooms that were loaded before the library of descriptions", async () => {
  const { statusSchema } = await import("../../src/variants/index.ts");
  await import("../../src/experiments/live/index.ts");
  expect(statusSchema.openapi).toBeUndefined();
  await import("../../src/routes/models.ts");
  await import("../../src/routes/experiment-schema.ts");
});
