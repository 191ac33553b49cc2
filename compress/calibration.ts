// Calibration text as token sequences of equal length: the text that ships, or the user's.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { gunzipSync } from "node:zlib";
import { root } from "../build/paths.ts";
import { readShipped } from "../evaluation/offline/texts.ts";
import { SOURCES } from "../evaluation/sources.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { UserError } from "../formats/error.ts";
import type { Tokens } from "./forward/forward.ts";
import { openTokenizer, type TextEncoding } from "./tokenizer.ts";

export interface CalibrationOptions {
  /** A text file, perhaps gzip. Default: the calibration text that ships. */
  readonly text?: string | undefined;
  readonly sequences: number;
  /** Tokens of each. */
  readonly length: number;
  /** Where in the text they are: at equal distances, or one after the other from its start. Default: spread. */
  readonly sample?: Sample | undefined;
}

export const SAMPLES = ["spread", "start"] as const;
export type Sample = (typeof SAMPLES)[number];

export interface Calibration {
  readonly tokens: Tokens;
  /** sha256 of the ids as little-endian 32-bit numbers, with sequences and length before them. */
  readonly digest: string;
  /** For reports. */
  readonly name: string;
}

/** More characters than any usual text needs for a token. */
const CHARACTERS_A_TOKEN = 16;

/**
 * Sequences of the text, each with the bos token first where the model's texts begin with it, else without special tokens.
 * @throws UserError when the file can't be read or has too little text, naming how many tokens there are and how many are needed
 */
export async function readCalibration(checkpoint: Checkpoint, options: CalibrationOptions): Promise<Calibration> {
  const { sequences, length } = options;
  const { contextLength, vocab } = checkpoint.shape;
  if (!(Number.isInteger(sequences) && sequences > 0)) throw new UserError("--sequences must be 1 or more");
  if (!(Number.isInteger(length) && length > 1 && length <= contextLength)) {
    throw new UserError(`--length must be 2 to ${contextLength}, the context of ${checkpoint.name}`);
  }
  const { name, text } = await readText(options.text);
  const rows = await cut(openTokenizer(checkpoint), text, options, name);
  const ids = Int32Array.from(rows.flat());
  const outside = ids.find((id) => id >= vocab);
  if (outside !== undefined) {
    throw new UserError(
      `${checkpoint.name}: its tokenizer gives token ${outside}, but its embedding has ${vocab} rows`,
    );
  }
  const digest = createHash("sha256")
    .update(`${sequences} ${length}\n`)
    .update(new Uint8Array(ids.buffer))
    .digest("hex");
  return { tokens: { sequences, length, ids }, digest, name };
}

async function readText(file: string | undefined): Promise<{ name: string; text: string }> {
  if (file === undefined) {
    const bytes = await readShipped(SOURCES.calibration, root).catch((error: Error) => {
      throw new UserError(error.message);
    });
    const lines = Buffer.from(bytes).toString("utf8").trimEnd().split("\n");
    const documents = lines.map((line) => (JSON.parse(line) as { text: string }).text);
    return { name: SOURCES.calibration.file, text: documents.join("\n\n") };
  }
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(
      `the text ${file} can't be read: ${error.code === "ENOENT" ? "there is no such file" : error.message}`,
    );
  });
  try {
    const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(isGzip ? gunzipSync(bytes) : bytes);
    return { name: basename(file), text };
  } catch (error) {
    throw new UserError(`the text ${file} is damaged, or not UTF-8: ${(error as Error).message}`);
  }
}

/** Spread over a long text, pieces at equal distances are encoded; over a short one all, and then windows at equal distances are taken. */
async function cut(
  { encode, startIds }: TextEncoding,
  text: string,
  options: CalibrationOptions,
  name: string,
): Promise<number[][]> {
  const { sequences, sample = "spread" } = options;
  const length = options.length - startIds.length;
  const piece = length * CHARACTERS_A_TOKEN;
  if (sample === "spread" && text.length > 2 * sequences * piece) {
    const rows: number[][] = [];
    for (let i = 0; i < sequences; i++) {
      // From a line's beginning, if there is one near.
      const at = Math.floor((i * text.length) / sequences);
      const line = i === 0 ? 0 : text.indexOf("\n", at) + 1;
      const from = line > at && line < at + piece ? line : at;
      const ids = await encode(text.slice(from, from + piece));
      if (ids.length < length) {
        throw new UserError(
          `${name}: ${piece} characters from ${from} on are only ${ids.length} tokens; is it a text?`,
        );
      }
      rows.push([...startIds, ...ids.slice(0, length)]);
    }
    return rows;
  }
  const ids = await encode(text, sample === "start" ? sequences * length : undefined);
  const windows =
    sample === "start" ? Math.min(sequences, Math.floor(ids.length / length)) : Math.floor(ids.length / length);
  if (windows < sequences) {
    const needed = sequences * length;
    throw new UserError(
      `${name} has ${ids.length} tokens, but ${sequences} sequences of ${length} need ${needed}: give more text, or a lower --sequences or --length`,
    );
  }
  return Array.from({ length: sequences }, (_, i) => {
    const from = Math.floor((i * windows) / sequences) * length;
    return [...startIds, ...ids.slice(from, from + length)];
  });
}
