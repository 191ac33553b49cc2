// `franken export`: hands a variant on to other programs.
import { type Command, Option } from "commander";
import { exportVariant, FORMAT_NAMES } from "../../compress/export/index.ts";
import { putOutput } from "../../compress/output.ts";

interface Options {
  readonly variant: string;
  readonly format: string;
  readonly out: string;
  readonly type?: string;
  readonly baseModel?: string;
  readonly unmerged?: boolean;
  readonly force?: boolean;
}

export function define(command: Command): void {
  command
    .requiredOption("--variant <id>", "which variant")
    .addOption(new Option("--format <format>", "what to write").choices(FORMAT_NAMES).makeOptionMandatory())
    .requiredOption("--out <path>", "file (recipe, gguf, mergekit) or folder (hf, peft) to write")
    .option(
      "--type <type>",
      "of the weights; hf: f32 (default), f16, bf16; gguf: stored (default), f32, f16, bf16, q8_0",
    )
    .option("--base-model <name>", "what mergekit and PEFT are to call the base (default: its Hugging Face id)")
    .option("--unmerged", "hf, gguf: leave the variant's adapter out")
    .option("--force", "replace what is at --out")
    .action(async ({ variant, format, out, force, ...options }: Options) => {
      const output = await exportVariant(variant, format, options);
      let written = 0;
      const tell = (): void => void process.stderr.write(`\rwriting ${out}: ${(written / 1e6).toFixed(0)} MB`);
      const timer = setInterval(tell, process.stderr.isTTY ? 200 : 5000);
      try {
        const onBytes = (bytes: number): void => {
          written += bytes;
        };
        await putOutput(out, output, { force, onBytes });
      } finally {
        clearInterval(timer);
      }
      process.stderr.write(`\r${out}: ${(written / 1e6).toFixed(1)} MB written\n`);
    });
}
