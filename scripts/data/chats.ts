// Chats that the base wrote both sides of, from rows of its tokens: of each row the first user turn
// and the answer to it.
import { unzipSync } from "fflate";
import type { Tokenizer } from "../../src/tokenizer/index.ts";

export interface Chat {
  readonly user: string;
  readonly answer: string;
  /** Whether the model ended the answer; otherwise the row ended within it. */
  readonly ended: boolean;
}

/** Rows that are for measuring and never for training: the first ones. */
const HELD = 256;
const END = "<|im_end|>";
/** What no turn may hold: another special token, or bytes that are no text. */
const BROKEN = /<\|\w+\|>|\ufffd/;

/**
 * @param archive NumPy's, with `ids` `[rows, tokens]` as uint16
 * @returns those of the held rows that begin as the chat template does, with a user turn and an answer
 */
export function heldChats(archive: Uint8Array, tokenizer: Tokenizer): Chat[] {
  const [before = "", after = ""] = tokenizer.renderChat([{ role: "user", content: "…" }]).split("…");
  return readRows(unzipSync(archive)["ids.npy"])
    .slice(0, HELD)
    .flatMap((row) => {
      const text = tokenizer.decode([...row]);
      const middle = text.indexOf(after);
      if (!text.startsWith(before) || middle < 0) return [];
      const user = text.slice(before.length, middle);
      const [answer = "", ...more] = text.slice(middle + after.length).split(END);
      if ([user, answer].some((turn) => turn.trim() === "" || BROKEN.test(turn))) return [];
      return [{ user, answer, ended: more.length > 0 }];
    });
}

/** Rows of a two-dimensional array of uint16 in NumPy's format, version 1.0. */
function readRows(npy: Uint8Array | undefined): Uint16Array[] {
  const bytes = Buffer.from(npy ?? []);
  const end = 10 + bytes.readUInt16LE(8);
  const header = bytes.toString("latin1", 10, end);
  const [, rows, columns] = /'descr': '<u2', 'fortran_order': False, 'shape': \((\d+), (\d+)\)/.exec(header) ?? [];
  if (!rows || !columns) throw new Error(`no rows of uint16: ${header}`);
  const width = Number(columns);
  return Array.from({ length: Number(rows) }, (_, row) =>
    Uint16Array.from({ length: width }, (_, column) => bytes.readUInt16LE(end + 2 * (row * width + column))),
  );
}
