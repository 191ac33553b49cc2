// The tensors of a folder's safetensors files, read when they are wanted.
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { UserError } from "../error.ts";
import { type OpenFile, openFile } from "../file.ts";
import { headerBytes, type Place, readPlaces } from "../safetensors.ts";

export interface FilePlace extends Place {
  readonly file: OpenFile;
  /** Where the values of the file begin. */
  readonly data: number;
}

export interface SafetensorsFiles {
  readonly places: ReadonlyMap<string, FilePlace>;
  read(place: FilePlace): Promise<Uint8Array>;
  close(): Promise<void>;
}

export const WEIGHTS = "model.safetensors";
export const INDEX = "model.safetensors.index.json";
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * @param name of the folder, for messages
 * @throws UserError naming the file or the shard that is missing, cut off or no safetensors file
 */
export async function openSafetensors(folder: string, name: string): Promise<SafetensorsFiles> {
  const shards = await readIndex(folder, name);
  const files: OpenFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of files) await file.close();
  };
  const places = new Map<string, FilePlace>();
  try {
    for (const shard of shards ? [...new Set(shards.values())] : [WEIGHTS]) {
      const file = await openFile(join(folder, shard), `${name}/${shard}`).catch((error: UserError) => {
        throw shards ? new UserError(`${error.message}, which ${INDEX} names: download it too`) : error;
      });
      files.push(file);
      for (const place of await readHeader(file)) {
        if (!shards || shards.get(place.name) === shard) places.set(place.name, place);
      }
    }
    for (const [tensor, shard] of shards ?? []) {
      if (places.has(tensor)) continue;
      throw new UserError(`${name}/${shard} lacks tensor ${tensor}, which ${INDEX} puts there: download both again`);
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { places, close, read: ({ file, data, start, bytes }) => file.read(data + start, bytes) };
}

/** The shard of each tensor; undefined for a folder with all in one file. */
async function readIndex(folder: string, name: string): Promise<Map<string, string> | undefined> {
  const text = await readFile(join(folder, INDEX), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    const { weight_map } = indexSchema.parse(JSON.parse(text));
    const outside = Object.values(weight_map).find((shard) => shard !== basename(shard));
    if (outside) throw new Error(`it names ${outside}, which is not in the folder`);
    return new Map(Object.entries(weight_map));
  } catch (error) {
    const problem = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message;
    throw new UserError(`${name}/${INDEX} is not an index of shards: ${problem}`);
  }
}

async function readHeader(file: OpenFile): Promise<FilePlace[]> {
  try {
    const bytes = headerBytes(await file.read(0, Math.min(8, file.size)), file.size);
    const data = 8 + bytes;
    const places = readPlaces(await file.read(8, bytes), file.size - data);
    return places.map((place) => ({ ...place, file, data }));
  } catch (error) {
    throw new UserError(`${file.name}: ${(error as Error).message}`);
  }
}
