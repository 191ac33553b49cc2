// What the weights step writes, and what it remembers of it: a piece that was packed before is not packed again.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { z } from "zod";
import { openFolder } from "./content-store.ts";
import { piecesFile } from "./paths.ts";
import { type Output, type Piece, pieceSchema } from "./weight-image.ts";

const memorySchema = z.strictObject({ code: z.string(), pieces: z.record(z.string(), pieceSchema) });

export interface OpenOutput extends Output {
  /** Removes what this build did not want, and remembers the rest. */
  close(): Promise<void>;
}

/** @param code digest of what packs; pieces that other code packed are not used */
export async function openOutput(dir: string, code: string): Promise<OpenOutput> {
  const files = await openFolder(dir);
  const text = await readFile(piecesFile, "utf8").catch(() => "{}");
  const memory = memorySchema.safeParse(parse(text)).data;
  const pieces = new Map<string, Piece>(memory?.code === code ? Object.entries(memory.pieces) : []);
  return {
    files,
    pieces,
    async close() {
      await files.prune();
      const left = [...pieces].filter(([, { parts }]) => parts.every(({ file }) => files.wanted.has(file)));
      await mkdir(dirname(piecesFile), { recursive: true });
      await writeFile(piecesFile, JSON.stringify({ code, pieces: Object.fromEntries(left) }));
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Cut off half-way: what it remembered is made again.
    return undefined;
  }
}
