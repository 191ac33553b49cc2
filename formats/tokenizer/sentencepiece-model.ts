// Reads SentencePiece's tokenizer.model, a protocol buffer. (sentencepiece, src/sentencepiece_model.proto)

import { UserError } from "../error.ts";
import type { Vocabulary } from "./files.ts";
import { TOKEN_TYPES } from "./gguf-fields.ts";

const MODEL = { pieces: 1, trainer: 2, normalizer: 3 };
const PIECE = { text: 1, score: 2, type: 3 };
const TRAINER = { modelType: 3 };
const BPE = 2;
const NORMALIZER = { charsmap: 2, addDummyPrefix: 3, removeExtraWhitespaces: 4, escapeWhitespaces: 5 };

/** A field's bytes where it has a length, else its number. */
type Field = readonly [number: number, value: number | Uint8Array];

/** @throws UserError naming what of the model is not supported, or that the file is damaged */
export function readSentencePieceModel(file: Uint8Array, name: string): Vocabulary {
  const where = `${name}/tokenizer.model`;
  const pieces: { readonly text: string; readonly score: number; readonly type: number }[] = [];
  const trainer = new Map<number, number | Uint8Array>();
  const normalizer = new Map<number, number | Uint8Array>();
  try {
    for (const [field, value] of fields(file)) {
      if (typeof value === "number") continue;
      if (field === MODEL.pieces) {
        const piece = new Map(fields(value));
        pieces.push({
          text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(piece.get(PIECE.text) as Uint8Array),
          score: Number(piece.get(PIECE.score) ?? 0),
          type: Number(piece.get(PIECE.type) ?? TOKEN_TYPES.normal),
        });
      }
      const into = field === MODEL.trainer ? trainer : field === MODEL.normalizer ? normalizer : undefined;
      for (const [inner, content] of into ? fields(value) : []) into?.set(inner, content);
    }
  } catch (error) {
    throw new UserError(`${where} is damaged: ${(error as Error).message}`);
  }
  if (pieces.length === 0) throw new UserError(`${where} is damaged: it has no pieces`);
  const refuse = (problem: string): UserError =>
    new UserError(`${where} ${problem}, which is not supported: only BPE that leaves text as it is`);
  if (trainer.get(TRAINER.modelType) !== BPE) throw refuse("is not of the type BPE");
  const charsmap = normalizer.get(NORMALIZER.charsmap);
  const removes = normalizer.get(NORMALIZER.removeExtraWhitespaces) ?? 1;
  const escapes = normalizer.get(NORMALIZER.escapeWhitespaces) ?? 1;
  if ((charsmap as Uint8Array | undefined)?.length || removes || !escapes) throw refuse("rewrites text");
  return {
    model: "llama",
    tokens: new Map(pieces.map(({ text, type }, id) => [id, { text, type }])),
    startsWith: () => true,
    entries: (size) => [
      ["tokenizer.ggml.pre", "string", "default"],
      ["tokenizer.ggml.scores", "f32[]", Array.from({ length: size }, (_, id) => pieces[id]?.score ?? -pieces.length)],
      ["tokenizer.ggml.add_space_prefix", "bool", Boolean(normalizer.get(NORMALIZER.addDummyPrefix) ?? 1)],
    ],
  };
}

function* fields(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  /** The next bytes, which are to be there. */
  const take = (length: number): Uint8Array => {
    if (at + length > bytes.length) throw new RangeError("a field ends beyond the file");
    at += length;
    return bytes.subarray(at - length, at);
  };
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const [byte = 0] = take(1);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array): DataView =>
    new DataView(buffer, byteOffset, byteLength);
  const READERS: Record<number, () => number | Uint8Array> = {
    0: varint,
    1: () => viewOf(take(8)).getFloat64(0, true),
    2: () => take(varint()),
    5: () => viewOf(take(4)).getFloat32(0, true),
  };
  while (at < bytes.length) {
    const key = varint();
    const read = READERS[key & 7];
    if (!read) throw new RangeError(`field ${key >> 3} is of the unknown type ${key & 7}`);
    yield [key >> 3, read()];
  }
}
