// Part of `npm run check`: imports go by the order of the rooms and through their doors.
import { readdir, readFile } from "node:fs/promises";
import { join, sep } from "node:path";
import { root } from "../build/paths.ts";
import { violations } from "./rooms/check.ts";
import { EXCEPTIONS, OBJECTS, ROOMS } from "./rooms/table.ts";

/** AssemblyScript has modules of its own; packages of bench/peers are not the project's. */
const LEFT_OUT = /^(src\/engine\/wasm\/assembly|bench\/peers)\//;

/** All sources of the project, by path from its root. */
export async function projectSources(): Promise<Map<string, string>> {
  const folders = [...new Set(ROOMS.map(({ path }) => path.split("/")[0] as string))];
  const listed = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(join(root, folder), { recursive: true })).map((file) => `${folder}/${file.split(sep).join("/")}`),
    ),
  );
  const files = listed.flat().filter((file) => /(?<!\.d)\.ts$/.test(file) && !LEFT_OUT.test(file));
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(join(root, file), "utf8")] as const)),
  );
}

export const rules = { rooms: ROOMS, objects: OBJECTS, exceptions: EXCEPTIONS };

if (process.argv[1] === import.meta.filename) {
  const found = violations(await projectSources(), rules);
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
