// What /docs needs beside its page: Swagger UI's script and style, copied as bytes that the gateway carries and never parses.
import { copyFile, mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { docsDir } from "./paths.ts";

const FILES = { "viewer.js.bin": "swagger-ui-bundle.js", "viewer.css.bin": "swagger-ui.css" } as const;
export const viewerFiles: string[] = Object.keys(FILES).map((name) => join(docsDir, name));

/** @returns the viewer's version */
export async function copyViewer(): Promise<string> {
  const manifest = createRequire(import.meta.url).resolve("swagger-ui-dist/package.json");
  await mkdir(docsDir, { recursive: true });
  for (const [name, source] of Object.entries(FILES)) {
    await copyFile(join(dirname(manifest), source), join(docsDir, name));
  }
  return (createRequire(import.meta.url)(manifest) as { version: string }).version;
}
