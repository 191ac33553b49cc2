// A tensor's bytes in the format that a file wants.

import { UserError } from "../../formats/error.ts";
import { dequantizeBlocks } from "../../formats/gguf/dequantize.ts";
import { type EncodedType, encodeBlocks } from "../quantize/encode.ts";
import type { StackTensor } from "../stack.ts";

/** @throws UserError naming the tensor whose values or columns the format cannot take */
export async function convert(tensor: StackTensor, type: EncodedType): Promise<Uint8Array> {
  const bytes = await tensor.bytes();
  if (tensor.type === type) return bytes;
  try {
    return encodeBlocks(type, dequantizeBlocks(tensor.type, bytes), tensor.cols);
  } catch (error) {
    throw new UserError(`tensor ${tensor.name} cannot be ${type}: ${(error as Error).message}`);
  }
}
