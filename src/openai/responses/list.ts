// A page of a response's input items, as clients leaf through them.
import { z } from "@hono/zod-openapi";
import { ApiError } from "../shared/errors.ts";
import { type Item, itemSchema } from "./items.ts";

const MOST = 100;
const USUAL = 20;

export const pageQuerySchema = z.object({
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(MOST)
    .optional()
    .openapi({ description: `Default: ${USUAL}.` }),
  order: z.enum(["asc", "desc"]).optional().openapi({ description: "`desc`, the default, is latest first." }),
  after: z.string().optional().openapi({ description: "The page begins after the item with this id." }),
});

export const itemPageSchema = z
  .object({
    object: z.literal("list"),
    data: z.array(itemSchema),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .openapi("ResponseItemList");

/** @throws ApiError when no item has the id `after` */
export function pageOf(
  items: readonly Item[],
  { limit = USUAL, order = "desc", after }: z.infer<typeof pageQuerySchema>,
): z.infer<typeof itemPageSchema> {
  const ordered = order === "asc" ? [...items] : items.toReversed();
  const before = after === undefined ? -1 : ordered.findIndex(({ id }) => id === after);
  if (after !== undefined && before < 0) {
    throw new ApiError("invalid_value", `No item of this response has the id '${after.slice(0, 100)}'.`, {
      param: "after",
    });
  }
  const data = ordered.slice(before + 1, before + 1 + limit);
  return {
    object: "list",
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: before + 1 + data.length < ordered.length,
  };
}
