// The toolkit's commands as a user gives them, in a folder of artifacts that each test has for itself.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Command } from "commander";
import { afterEach, beforeEach, vi } from "vitest";
import { type SlotRecipe, slotRecipeSchema } from "../../src/variants/recipe.ts";

let made: string;

/** Of the test that runs. */
export const folder = (): string => made;

/** To be called where tests are declared: they write into `folder()`, and what commands print is not shown. */
export function inOwnFolder(): void {
  beforeEach(async () => {
    made = await mkdtemp(join(tmpdir(), "franken-commands-"));
    vi.stubEnv("FRANKEN_ARTIFACTS", made);
    for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, "write").mockReturnValue(true);
  });
  afterEach(async () => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    await rm(made, { recursive: true, force: true });
  });
}

export async function run(define: (command: Command) => void, ...args: string[]): Promise<void> {
  const command = new Command().exitOverride();
  define(command);
  await command.parseAsync(args, { from: "user" });
}

/** That a command wrote. */
export const recipe = async (id: string): Promise<SlotRecipe> =>
  slotRecipeSchema.parse(JSON.parse(await readFile(join(folder(), "recipes", `${id}.json`), "utf8")));
