// Runs a method of `franken compress` as a process of its own, for a command that needs what it makes.
import { spawn } from "node:child_process";
import { UserError } from "../formats/error.ts";

/**
 * @param args after `franken compress`
 * @returns the id of the variant that it wrote, or that was there already
 * @throws UserError naming the command when it fails; it has said why on the standard error
 */
export async function runMethod(args: readonly string[]): Promise<string> {
  const main = process.argv[1] as string;
  const child = spawn(process.execPath, [...process.execArgv, main, "compress", ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject).on("close", resolve);
  });
  const lines = said.trimEnd().split("\n");
  // The last two lines are the variant's id and its recipe's path.
  const id = /^([a-z0-9][a-z0-9.-]*)/.exec(lines.at(-2) ?? "")?.[1];
  if (code !== 0 || id === undefined) throw new UserError(`franken compress ${args.join(" ")} made nothing`);
  return id;
}
