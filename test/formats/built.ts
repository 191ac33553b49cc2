// The base as the build lays it out for the engines.

import { readCheckpoint } from "../../build/checkpoint.ts";
import { buildBase } from "../../build/weight-set.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import { memoryOutput } from "../build/memory.ts";

export async function builtBase(): Promise<{ base: BaseModel; image: Uint8Array }> {
  const output = memoryOutput();
  const { base } = await buildBase(await readCheckpoint("smollm2-135m-instruct"), output);
  return { base, image: Buffer.concat(base.parts.map(({ file }) => output.written.get(file) as Uint8Array)) };
}
