// Finished layers of a run on the disk, until the artifact is written: a run that was cut off goes on where it was.
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";
import { artifactsFolder } from "../store.ts";
import { VERSION } from "../version.ts";
import type { Kept, LayerResult } from "./walk.ts";

export interface WorkFolder extends Kept {
  /** Whether a layer of an earlier run was found. */
  readonly resumed: () => boolean;
  remove(): Promise<void>;
}

/** @param command all that the results depend on; a change of it begins anew */
export function openWork(command: unknown, folder = artifactsFolder()): WorkFolder {
  const digest = sha256(JSON.stringify([VERSION, command])).slice(0, 24);
  const work = join(folder, ".work", digest);
  const fileOf = (layer: number): string => join(work, `layer-${layer}.bin`);
  let resumed = false;
  return {
    async get(layer) {
      const bytes = await readFile(fileOf(layer)).catch(() => undefined);
      if (!bytes) return undefined;
      try {
        const result = deserialize(bytes) as LayerResult;
        resumed = true;
        return result;
      } catch {
        // Damaged: it is computed again.
        return undefined;
      }
    },
    async put(layer, result) {
      const file = fileOf(layer);
      try {
        await mkdir(work, { recursive: true });
        await writeFile(`${file}.${process.pid}`, serialize(result));
        await rename(`${file}.${process.pid}`, file);
      } catch (error) {
        await rm(`${file}.${process.pid}`, { force: true });
        const full = (error as NodeJS.ErrnoException).code === "ENOSPC";
        throw new UserError(
          `layer ${layer} could not be kept in ${work}: ${full ? "the disk is full" : (error as Error).message}. Make room and give the same command again: it goes on from here`,
        );
      }
    },
    resumed: () => resumed,
    remove: () => rm(work, { recursive: true, force: true }),
  };
}
