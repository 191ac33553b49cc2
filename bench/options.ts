// Options that several benchmarks have.
import { InvalidArgumentError } from "commander";

/** For options that are a whole number above 0. */
export function positive(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It must be a whole number above 0.");
  return Number(text);
}
