// What a schema will look at of a value, counted before it does: it looks at all of a list, and gathers an error for
// each element that is wrong, before it says how long the list may be.
import type { z } from "@hono/zod-openapi";
import { createWork, type Work, WorkLimitError } from "../../work.ts";

/** Of an element of a list that is wrong: some 2.5 us. */
const STEPS_PER_ELEMENT = 25;
/** Of a member of a map that is wrong: some 5 us. */
const STEPS_PER_ENTRY = 50;

/** Of a value in what no schema looks at, and which is read or written as a whole. */
const STEPS_PER_VALUE = 16;

/** The path of the list or map that has more in it than is looked at; undefined when all of it can be. */
export function tooLongToCheck(schema: z.ZodType, value: unknown): string | undefined {
  const place = { list: "" };
  try {
    visit(schema as unknown as Schema, value, [], { work: createWork(), place });
    return undefined;
  } catch (error) {
    if (error instanceof WorkLimitError) return place.list;
    throw error;
  }
}

/** As much of zod's schemas as is looked at. */
interface Schema {
  readonly _zod: {
    readonly def: {
      readonly type: string;
      readonly shape?: Readonly<Record<string, Schema>>;
      readonly element?: Schema;
      readonly valueType?: Schema;
      readonly innerType?: Schema;
      readonly options?: readonly Schema[];
      readonly discriminator?: string;
    };
    /** Of an object, the values that tell it apart, by member. */
    readonly propValues?: Readonly<Record<string, ReadonlySet<unknown>>>;
  };
}

interface Counting {
  readonly work: Work;
  readonly place: { list: string };
}

function visit(schema: Schema, value: unknown, path: readonly string[], counting: Counting): void {
  const { shape, element, valueType, innerType, options, discriminator } = schema._zod.def;
  const { work, place } = counting;
  const isObject = typeof value === "object" && value !== null;
  if (innerType) return visit(innerType, value, path, counting);
  if (!isObject) return;
  if (options) {
    const told = discriminator === undefined ? undefined : Reflect.get(value, discriminator);
    for (const option of options) {
      const mayBe = discriminator === undefined || option._zod.propValues?.[discriminator]?.has(told);
      if (mayBe) visit(option, value, path, counting);
    }
  } else if (shape) {
    for (const [name, member] of Object.entries(shape)) {
      if (Object.hasOwn(value, name)) visit(member, Reflect.get(value, name), [...path, name], counting);
    }
    work.spend(STEPS_PER_ELEMENT);
  } else if (element && Array.isArray(value)) {
    for (const [i, inner] of value.entries()) {
      place.list = path.join(".");
      work.spend(STEPS_PER_ELEMENT);
      visit(element, inner, [...path, String(i)], counting);
    }
  } else if (valueType && !Array.isArray(value)) {
    place.list = path.join(".");
    const names = Reflect.ownKeys(value);
    work.spend(names.length * STEPS_PER_ENTRY);
    if (valueType._zod.def.type === "unknown") return visitAll(value, counting);
    for (const name of names) visit(valueType, Reflect.get(value, name), [...path, String(name)], counting);
  }
}

function visitAll(value: unknown, { work }: Counting): void {
  const due = [value];
  for (let next = due.pop(); next !== undefined; next = due.pop()) {
    if (typeof next !== "object" || next === null) continue;
    const names = Reflect.ownKeys(next);
    work.spend(names.length * STEPS_PER_VALUE);
    for (const name of names) due.push(Reflect.get(next, name));
  }
}
