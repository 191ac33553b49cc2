// The base as the build lays it out for the engines.

import { readCheckpoint } from "../../../scripts/build/checkpoint.ts";
import { buildBase } from "../../../scripts/build/weights.ts";
import type { BaseModel } from "../../../src/variants/base.ts";

export async function builtBase(): Promise<{ base: BaseModel; image: Uint8Array }> {
  const { base, weights } = buildBase(await readCheckpoint("smollm2-135m-instruct"));
  return { base, image: Buffer.concat(base.parts.map(({ file }) => weights.get(file) as Uint8Array)) };
}
