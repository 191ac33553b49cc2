// NOTICE: the packages that the service and its toolkit run with, and their licences, from
// package-lock.json.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { root } from "../../build/paths.ts";

const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({
      version: z.string(),
      license: z.string().optional(),
      dev: z.boolean().optional(),
    }),
  ),
});

const HEAD = `Franken Gateway
Licensed under the Apache License, Version 2.0: see LICENSE.

The model in models/ is SmolLM2-135M-Instruct by Hugging Face
(https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct), licensed under the Apache License,
Version 2.0, quantized to 4 bits. data/README.md names the sources and licences of the texts in data/.

The service and its toolkit run with these packages, which npm installs. Some of their code is in the
built Workers. Each package holds the text of its licence. Written by \`npm run readme\`.
`;

/** @throws Error where a package of the lockfile names no licence */
export async function notice(): Promise<string> {
  const { packages } = lockSchema.parse(JSON.parse(await readFile(join(root, "package-lock.json"), "utf8")));
  const lines = Object.entries(packages)
    .filter(([path, { dev }]) => path !== "" && !dev)
    .map(([path, { version, license }]) => {
      if (!license) throw new Error(`package-lock.json has no licence of ${path}`);
      return `${path.replace(/^.*node_modules\//, "")} ${version}: ${license}`;
    });
  return `${HEAD}\n${[...new Set(lines)].sort().join("\n")}\n`;
}
