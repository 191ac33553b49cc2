// A tensor's bytes in the format that a file wants.

import { UserError } from "../../error.ts";
import { dequantizeBlocks } from "../dequantize.ts";
import { type EncodedType, encodeBlocks } from "../encode.ts";
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
