// A file on the disk, read in pieces.
import { open } from "node:fs/promises";
import { UserError } from "./error.ts";
import type { ByteSource } from "./gguf/header.ts";

export interface OpenFile extends ByteSource {
  close(): Promise<void>;
}

/** @throws UserError naming the file that is not there or cannot be read */
export async function openFile(path: string, name = path): Promise<OpenFile> {
  const handle = await open(path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(error.code === "ENOENT" ? `${path} is missing` : `${path} cannot be read: ${error.message}`);
  });
  const { size } = await handle.stat();
  return {
    name,
    size,
    async read(start, length) {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; ) {
        const { bytesRead } = await handle.read(bytes, at, length - at, start + at);
        if (bytesRead === 0)
          throw new UserError(`${path} is cut off at ${start + at} bytes: download or copy it again`);
        at += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
