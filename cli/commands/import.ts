// `franken import`: takes in what other programs made.
import type { Command } from "commander";
import { importSource } from "../../compress/formats/import/index.ts";

interface Options {
  readonly id?: string;
  readonly base?: string;
  readonly force?: boolean;
}

export function define(command: Command): void {
  command
    .argument(
      "<source>",
      "checkpoint: .gguf file, folder or Hugging Face id; recipe: mergekit YAML, LLM-Drop's config.json, PEFT folder, recipe",
    )
    .option("--id <id>", "what the variant is to be called (default: the source's name)")
    .option("--base <id>", "the base that a recipe is of (default: the one that it names)")
    .option("--force", "replace a variant of that id")
    .action(async (source: string, options: Options) => {
      let bytes = 0;
      const tell = (): void => void process.stderr.write(`\rrounding ${source}: ${(bytes / 1e6).toFixed(0)} MB`);
      const timer = setInterval(tell, process.stderr.isTTY ? 200 : 5000);
      const onBytes = (more: number): void => {
        bytes += more;
      };
      try {
        const file = await importSource(source, { ...options, onBytes });
        process.stderr.write(`\r${file}: \`npm start\` serves it\n`);
      } finally {
        clearInterval(timer);
      }
    });
}
