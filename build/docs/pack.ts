// The site as two modules of the gateway: the files, each compressed, one after the other, and
// where each begins. The gateway carries them as bytes and never parses them.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { sha256 } from "../../formats/digest.ts";
import { docsDir } from "../paths.ts";
import { buildSite } from "./site.ts";
import { viewerFiles } from "./viewer.ts";

export interface SiteFile {
  /** Where it is served. */
  readonly path: string;
  /** The value of content-type. */
  readonly type: string;
  /** Or its pieces; equal ones of all files are packed once. */
  readonly content: string | Uint8Array | readonly string[];
}

/** A file, and where each of its compressed pieces begins and ends in site.bin. */
export interface PackedFile {
  readonly type: string;
  readonly etag: string;
  readonly pieces: readonly (readonly [begin: number, end: number])[];
}

export function pack(files: readonly SiteFile[]): {
  index: Record<string, PackedFile>;
  bytes: Buffer;
} {
  const index: Record<string, PackedFile> = {};
  const parts: Buffer[] = [];
  const placed = new Map<string, readonly [number, number]>();
  let end = 0;
  const place = (piece: Buffer): readonly [number, number] => {
    const key = sha256(piece);
    const old = placed.get(key);
    if (old) return old;
    const part = gzipSync(piece, { level: 9 });
    parts.push(part);
    const place = [end, end + part.length] as const;
    end += part.length;
    placed.set(key, place);
    return place;
  };
  for (const { path, type, content } of files) {
    if (index[path]) throw new Error(`two files of the site are at ${path}`);
    const pieces = (Array.isArray(content) ? content : [content]).map((piece) => Buffer.from(piece));
    const etag = `"${sha256(Buffer.concat(pieces)).slice(0, 16)}"`;
    index[path] = { type, etag, pieces: pieces.map(place) };
  }
  return { index, bytes: Buffer.concat(parts) };
}

/**
 * Writes site.json and site.bin.
 * @param root the folder that has README.md and docs/
 * @returns what was made, for the terminal
 */
export async function packSite(root: string): Promise<string> {
  const files = await buildSite(root);
  const viewer = await viewerFiles();
  const { index, bytes } = pack([...files, ...viewer]);
  await mkdir(docsDir, { recursive: true });
  await writeFile(join(docsDir, "site.json"), JSON.stringify(index));
  await writeFile(join(docsDir, "site.bin"), bytes);
  const ofViewer = pack(viewer).bytes.length;
  return `${files.length} files of ${bytes.length - ofViewer} bytes, the viewer of ${ofViewer}`;
}
