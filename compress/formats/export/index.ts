// What a variant can be handed on as.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { modelsDir } from "../../../scripts/build/paths.ts";
import type { SlotRecipe } from "../../../src/variants/recipe.ts";
import { UserError } from "../../error.ts";
import { artifactsFolder } from "../../store.ts";
import type { Output } from "../output.ts";
import { findRecipe, openStack } from "../stack.ts";
import { GGUF_TYPES, ggufOutput } from "./gguf.ts";
import { HF_TYPES, huggingFaceOutput } from "./hf.ts";
import { mergekitOutput } from "./mergekit.ts";
import { peftOutput } from "./peft.ts";

export interface ExportOptions {
  /** Of `types`, the first by default. */
  readonly type?: string | undefined;
  /** What other programs call the base. Default: where its manifest says that it came from. */
  readonly baseModel?: string | undefined;
  /** Leaves the adapter out. Default: false. */
  readonly unmerged?: boolean | undefined;
}

interface Format {
  readonly types: readonly string[];
  make(recipe: SlotRecipe, options: ExportOptions & { readonly type: string }): Promise<Output>;
}

const stackOf = (recipe: SlotRecipe, { unmerged }: ExportOptions) => openStack(recipe, { adapted: !unmerged });

const FORMATS: Readonly<Record<string, Format>> = {
  recipe: {
    types: [],
    make: async (recipe) => ({ kind: "file", chunks: [Buffer.from(`${JSON.stringify(recipe, null, 2)}\n`)] }),
  },
  hf: {
    types: HF_TYPES,
    make: async (recipe, options) =>
      huggingFaceOutput(await stackOf(recipe, options), options.type as (typeof HF_TYPES)[number]),
  },
  gguf: {
    types: GGUF_TYPES,
    make: async (recipe, options) =>
      ggufOutput(await stackOf(recipe, options), options.type as (typeof GGUF_TYPES)[number]),
  },
  mergekit: {
    types: [],
    make: async (recipe, { baseModel }) => mergekitOutput(recipe, baseModel ?? (await originOf(recipe.base))),
  },
  peft: {
    types: [],
    make: async (recipe, { baseModel }) => peftOutput(recipe, baseModel ?? (await originOf(recipe.base))),
  },
};
export const FORMAT_NAMES: readonly string[] = Object.keys(FORMATS);

/**
 * A variant in a format, as bytes to be written.
 * @throws UserError naming the variant, type or slot that cannot be, and what can
 */
export async function exportVariant(id: string, format: string, options: ExportOptions = {}): Promise<Output> {
  const found = FORMATS[format];
  if (!found) throw new UserError(`no format ${format}; there are ${FORMAT_NAMES.join(", ")}`);
  const type = options.type ?? found.types[0] ?? "";
  if (options.type !== undefined && !found.types.includes(type)) {
    const there = found.types.length > 0 ? `has the types ${found.types.join(", ")}` : "has no types";
    throw new UserError(`--format ${format} ${there}; --type is ${type}`);
  }
  return found.make(await findRecipe(id), { ...options, type });
}

const manifestSchema = z.object({ origin: z.string() });

/** A base's Hugging Face id, with which its manifest's origin begins; its own id where it does not. */
export async function originOf(base: string): Promise<string> {
  for (const folder of [modelsDir, join(artifactsFolder(), "models")]) {
    const text = await readFile(join(folder, base, "manifest.json"), "utf8").catch(() => undefined);
    if (!text) continue;
    const origin = manifestSchema.parse(JSON.parse(text)).origin;
    return /^[\w.-]+\/[\w.-]+/.exec(origin)?.[0] ?? base;
  }
  return base;
}
