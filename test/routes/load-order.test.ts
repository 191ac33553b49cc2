import { expect, it } from "vitest";
// In this order: the schemas of these rooms are made before @hono/zod-openapi is loaded.
import "../../src/variants/index.ts";
import "../../src/experiments/index.ts";
import { createApp } from "../../src/app.ts";

it("describes schemas of rooms that were loaded before the library of descriptions", () => {
  expect(createApp).toBeTypeOf("function");
});
