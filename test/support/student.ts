// What training would leave, made of the base's own layers with some codes changed.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Checkpoint } from "../../formats/checkpoint.ts";
import { safetensorsHeader } from "../../formats/safetensors.ts";

export interface StudentTensor {
  readonly name: string;
  /** U8: Q4_1 blocks; F32: a norm. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/** The first `layers` layers of the base, each with its sublayers' first codes changed, and the base's output norm halved. */
export async function studentTensors(base: Checkpoint, layers: number): Promise<StudentTensor[]> {
  const made: StudentTensor[] = [];
  for (const { name, type, rows, cols } of base.tensors.values()) {
    const layer = /^blk\.(\d+)\./.exec(name)?.[1];
    if (layer === undefined ? name !== "output_norm.weight" : Number(layer) >= layers) continue;
    const data = Uint8Array.from(await base.readStored(name));
    if (type === "f32") {
      const values = new Float32Array(data.buffer);
      if (name === "output_norm.weight")
        values.forEach((value, i) => {
          values[i] = value / 2;
        });
      made.push({ name, dtype: "F32", shape: [cols], data });
      continue;
    }
    // Codes of the first block's columns; scale and minimum are its first four bytes.
    for (let at = 4; at < 20; at++) data[at] = (data[at] as number) ^ 0x11;
    made.push({ name, dtype: "U8", shape: [rows, (cols / 32) * 20], data });
  }
  return made;
}

export const studentFile = (tensors: readonly StudentTensor[]): Uint8Array =>
  Buffer.concat([
    safetensorsHeader(tensors.map(({ data, ...tensor }) => ({ ...tensor, bytes: data.length }))),
    ...tensors.map(({ data }) => data),
  ]);

export const PROVENANCE = {
  method: "distill",
  seed: 1,
  version: "1",
  arguments: { recipe: "made up by a test", tokens: 0 },
};

/** @param plans by variant id */
export async function writeStudent(
  folder: string,
  plans: Readonly<Record<string, readonly object[]>>,
  tensors: readonly StudentTensor[],
  more: object = {},
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const named = Object.entries(plans).map(([id, slots]) => [id, { title: `Made up: ${id}`, slots }]);
  const student = { id: "made-up-students", base: "smollm2-135m-instruct", provenance: PROVENANCE, ...more };
  await writeFile(join(folder, "student.json"), JSON.stringify({ ...student, plans: Object.fromEntries(named) }));
  await writeFile(join(folder, "student.safetensors"), studentFile(tensors));
}
