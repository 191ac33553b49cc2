// What the build writes, held in memory.
import { createHash } from "node:crypto";
import type { Output } from "../../build/weight-image.ts";

export function memoryOutput(): Output & { readonly written: ReadonlyMap<string, Uint8Array> } {
  const written = new Map<string, Uint8Array>();
  return {
    written,
    pieces: new Map(),
    files: {
      async add(bytes) {
        const sha256 = createHash("sha256").update(bytes).digest("hex");
        written.set(`${sha256}.bin`, bytes);
        return { file: `${sha256}.bin`, sha256, bytes: bytes.length };
      },
      keep: async ({ file }) => written.has(file),
    },
  };
}
