// A base and a student that has its embedding, with a file for each tensor.
import { createHash } from "node:crypto";
import type { BaseModel, Tensor } from "../../../src/variants/base.ts";
import { config, makeTiny, type Tiny } from "./tiny.ts";

const sha256 = (bytes: Uint8Array | string): string => createHash("sha256").update(bytes).digest("hex");
export const files = new Map<string, Uint8Array>();

/** A weight set with a file for each tensor. */
function weightSet(id: string, layers: number, tensors: readonly (readonly [Tiny, Tensor])[]): BaseModel {
  let end = 0;
  const placed = tensors.map(([{ image }, tensor]) => {
    const bytes = image.slice(tensor.offset, tensor.offset + Math.ceil(tensor.bytes / 64) * 64);
    files.set(sha256(bytes), bytes);
    end += bytes.length;
    const part = { file: sha256(bytes), sha256: sha256(bytes), bytes: bytes.length };
    return { tensor: { ...tensor, offset: end - bytes.length }, part };
  });
  return {
    ...(tensors[0]?.[0].base as BaseModel),
    id,
    ...(id === "tiny" ? {} : { checkpoint: "tiny" }),
    config: { ...config, layers },
    imageBytes: end,
    digest: sha256(JSON.stringify(placed)),
    tensors: placed.map(({ tensor }) => tensor),
    parts: placed.map(({ part }) => part),
  };
}

const [first, second] = [makeTiny({ narrow: false }), makeTiny({ narrow: false, seed: 2 })];
const isOutside = ({ name }: Tensor): boolean => !name.startsWith("blk.");
export const base = weightSet(
  "tiny",
  3,
  first.base.tensors.map((tensor) => [first, tensor]),
);
/** The embedding of the base, two layers and an output norm of its own. */
export const student = weightSet("student", 2, [
  [first, first.base.tensors.find(({ name }) => name === "token_embd.weight") as Tensor],
  ...second.base.tensors
    .filter((tensor) => (isOutside(tensor) ? tensor.name === "output_norm.weight" : !tensor.name.startsWith("blk.2.")))
    .map((tensor) => [second, tensor] as const),
]);
/** Bytes that the two have in common. */
export const shared = base.tensors.find(({ name }) => name === "token_embd.weight")!.bytes;
