// `franken import`: takes in what other programs made.
import type { Command } from "commander";
import { importSource } from "../../compress/import/index.ts";
import { importStudent, isStudent } from "../../compress/import/student.ts";
import { UserError } from "../../formats/error.ts";

interface Options {
  readonly id?: string;
  readonly base?: string;
  readonly ship?: boolean;
  readonly force?: boolean;
}

export function define(command: Command): void {
  command
    .argument(
      "<source>",
      "checkpoint: .gguf file (any shard), folder or Hugging Face id; recipe: mergekit YAML, LLM-Drop's config.json, PEFT folder or id, recipe; what training left",
    )
    .option("--id <id>", "what the variant is to be called (default: the source's name)")
    .option("--base <id>", "the base that a recipe is of (default: the one that it names)")
    .option("--ship", "of what training left: write it into models/ and src/variants/recipes, to be committed")
    .option("--force", "replace a variant of that id")
    .action(async (source: string, options: Options) => {
      let bytes = 0;
      const tell = (): void => void process.stderr.write(`\rrounding ${source}: ${(bytes / 1e6).toFixed(0)} MB`);
      const timer = setInterval(tell, process.stderr.isTTY ? 200 : 5000);
      const onBytes = (more: number): void => {
        bytes += more;
      };
      try {
        const files = await take(source, options, onBytes);
        for (const file of files) process.stderr.write(`\r${file}: \`npm start\` serves it\n`);
      } finally {
        clearInterval(timer);
      }
    });
}

/** @returns the recipes' files */
async function take(source: string, options: Options, onBytes: (bytes: number) => void): Promise<string[]> {
  const { id, ship } = options;
  if (!(await isStudent(source))) {
    if (ship) throw new UserError("--ship is for what training left: a folder with student.json");
    return [await importSource(source, { ...options, onBytes })];
  }
  if (id) throw new UserError(`${source} says what its variants are called: leave --id out`);
  return importStudent(source, options);
}
