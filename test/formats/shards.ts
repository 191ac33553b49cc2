// A Hugging Face folder's weights in shards, as larger models come.
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { INDEX, WEIGHTS } from "../../formats/hugging-face/shards.ts";
import { headerBytes, readPlaces, safetensorsHeader } from "../../formats/safetensors.ts";

export const shardName = (index: number, shards: number): string =>
  `model-${String(index + 1).padStart(5, "0")}-of-${String(shards).padStart(5, "0")}.safetensors`;

/** Cuts `model.safetensors` of a folder into shards and an index; gives the shard of each tensor. */
export async function shard(folder: string, shards: number): Promise<Record<string, string>> {
  const file = await readFile(join(folder, WEIGHTS));
  const data = 8 + headerBytes(file.subarray(0, 8), file.length);
  const places = readPlaces(file.subarray(8, data), file.length - data);
  const size = Math.ceil(places.length / shards);
  const map: Record<string, string> = {};
  for (let i = 0; i < shards; i++) {
    const part = places.slice(i * size, (i + 1) * size);
    const values = part.map(({ start, bytes }) => file.subarray(data + start, data + start + bytes));
    await writeFile(join(folder, shardName(i, shards)), Buffer.concat([safetensorsHeader(part), ...values]));
    for (const { name } of part) map[name] = shardName(i, shards);
  }
  await rm(join(folder, WEIGHTS));
  await writeFile(join(folder, INDEX), JSON.stringify({ metadata: {}, weight_map: map }));
  return map;
}
