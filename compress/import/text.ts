// Files that are read whole and checked.
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { UserError } from "../../formats/error.ts";

/** @throws UserError naming the file that cannot be read, or is not of its format */
export async function readParsed(file: string, parse: (text: string) => unknown, format: string): Promise<unknown> {
  const text = await readFile(file, "utf8").catch((error: Error) => {
    throw new UserError(`${file} cannot be read: ${error.message}`);
  });
  try {
    return parse(text);
  } catch (error) {
    throw new UserError(`${file} is not ${format}: ${(error as Error).message}`);
  }
}

/** @throws UserError naming the file and the field */
export function check<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new UserError(`${file} is not as expected:\n${z.prettifyError(parsed.error)}`);
  return parsed.data;
}
