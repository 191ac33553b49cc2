// Lays tensors out as a weight image. It is made of pieces, each of which is a file or several: one layer, or one tensor outside the
// layers. So weight sets that have a layer or the embedding in common have its files in common, and a piece is packed once.
import { z } from "zod";
import { sha256 } from "../formats/digest.ts";
import {
  type BaseModel,
  type BuiltFile,
  fileSchema,
  type ModelConfig,
  type Tensor,
  tensorSchema,
} from "../src/variants/index.ts";
import { addParts, type Files } from "./content-store.ts";
import { packQ4, packQ8 } from "./kernel-layout.ts";

const ALIGN = 64;
const align = (offset: number): number => Math.ceil(offset / ALIGN) * ALIGN;

export interface SourceTensor {
  readonly name: string;
  readonly type: Tensor["type"];
  readonly rows: number;
  readonly cols: number;
  /** Stands for its bytes: the same text, the same bytes. */
  readonly identity: string;
  /** Its GGUF blocks, row-major; q and k rows in Hugging Face's order. */
  read(): Promise<Uint8Array>;
}

export const pieceSchema = z.strictObject({
  /** Offsets count from the piece's beginning. */
  tensors: z.array(tensorSchema),
  bytes: z.int(),
  parts: z.array(fileSchema),
});
export type Piece = z.infer<typeof pieceSchema>;

/** Where the build puts what it makes, and what it has made before. */
export interface Output {
  readonly files: Files;
  /** By what they are made of. */
  readonly pieces: Map<string, Piece>;
}

/** The piece that a tensor is in. */
export const pieceOf = (name: string): string => /^blk\.\d+\./.exec(name)?.[0] ?? name;

/** Pieces by name, in the order in which their first tensors come. The same tensors give the same bytes. */
export async function buildPieces(sources: readonly SourceTensor[], output: Output): Promise<Map<string, Piece>> {
  const groups = new Map<string, SourceTensor[]>();
  for (const source of sources) {
    const name = pieceOf(source.name);
    groups.set(name, [...(groups.get(name) ?? []), source]);
  }
  const pieces = new Map<string, Piece>();
  for (const [name, group] of groups) pieces.set(name, await pieceFor(group, output));
  return pieces;
}

async function pieceFor(sources: readonly SourceTensor[], { files, pieces }: Output): Promise<Piece> {
  const key = sha256(JSON.stringify(sources.map((s) => [s.name, s.type, s.rows, s.cols, s.identity])));
  const known = pieces.get(key);
  if (known && (await Promise.all(known.parts.map(files.keep))).every(Boolean)) return known;
  const piece = await buildPiece(sources, files);
  pieces.set(key, piece);
  return piece;
}

async function buildPiece(sources: readonly SourceTensor[], files: Files): Promise<Piece> {
  const tensors: Tensor[] = [];
  const chunks: Uint8Array[] = [];
  let end = 0;
  for (const source of sources) {
    const data = pack(source, await source.read());
    const { name, type, rows, cols } = source;
    tensors.push({ name, digest: sha256(data), type, rows, cols, offset: end, bytes: data.length });
    chunks.push(data, new Uint8Array(align(data.length) - data.length));
    end = align(end + data.length);
  }
  return { tensors, bytes: end, parts: await addParts(files, Buffer.concat(chunks)) };
}

/** The image that pieces make one after another. */
export function joinPieces(pieces: Iterable<Piece>): Pick<BaseModel, "tensors" | "imageBytes" | "parts"> {
  const tensors: Tensor[] = [];
  const parts: BuiltFile[] = [];
  let imageBytes = 0;
  for (const piece of pieces) {
    for (const tensor of piece.tensors) tensors.push({ ...tensor, offset: imageBytes + tensor.offset });
    parts.push(...piece.parts);
    imageBytes += piece.bytes;
  }
  return { tensors, imageBytes, parts };
}

/** Of shapes and weights. */
export const weightsDigest = (config: ModelConfig, tensors: readonly Tensor[]): string =>
  sha256(JSON.stringify([config, ...tensors.map((t) => [t.name, t.type, t.rows, t.cols, t.digest])]));

function pack({ type, rows, cols }: SourceTensor, data: Uint8Array): Uint8Array {
  if (type === "f32") return data;
  return type === "q4_1" ? packQ4(data, rows, cols) : packQ8(data, rows, cols);
}
