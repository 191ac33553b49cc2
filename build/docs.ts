// What /docs needs beside its page: Swagger UI's script and style, compressed, as bytes that the gateway carries and never parses.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { docsDir } from "./paths.ts";

const FILES = { "viewer.js.gz.bin": "swagger-ui-bundle.js", "viewer.css.gz.bin": "swagger-ui.css" } as const;
export const viewerFiles: string[] = Object.keys(FILES).map((name) => join(docsDir, name));

/** @returns the viewer's version */
export async function packViewer(): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  await mkdir(docsDir, { recursive: true });
  for (const [name, source] of Object.entries(FILES)) {
    const content = await readFile(join(dirname(manifest), source));
    await writeFile(join(docsDir, name), gzipSync(content, { level: 9 }));
  }
  return (createRequire(import.meta.url)(manifest) as { version: string }).version;
}
