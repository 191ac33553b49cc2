// What a variant can be handed on as.

import { UserError } from "../../formats/error.ts";
import type { SlotRecipe } from "../../src/variants/index.ts";
import { originOf } from "../import/bases.ts";
import type { Output } from "../output.ts";
import { findRecipe, openStack } from "../stack.ts";
import { GGUF_TYPES, type GgufType, ggufOutput } from "./gguf.ts";
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
    make: async (recipe, options) => ggufOutput(await stackOf(recipe, options), options.type as GgufType),
  },
  mergekit: {
    types: [],
    make: async (recipe, { baseModel }) => mergekitOutput(recipe, baseModel ?? (await originOf(recipe.base))),
  },
  peft: {
    types: [],
    make: async (recipe, { baseModel }) => peftOutput(recipe, baseModel ?? (await nameOf(recipe))),
  },
};
/** @throws UserError where the adapter goes with layers that no other program has by a name */
async function nameOf({ id, base, layers }: SlotRecipe): Promise<string> {
  if (layers === undefined) return originOf(base);
  throw new UserError(
    `${id} has layers of its own: export those with --format hf, and name that folder with --base-model`,
  );
}

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
