// A GGUF file that llama.cpp split: which shard a file is, and where the others are. (llama.cpp, src/llama.cpp, `llama_split_path`)
import { basename, dirname, join } from "node:path";
import { UserError } from "../error.ts";
import { type OpenFile, openFile } from "../file.ts";

const NAME = /^(.+)-(\d{5})-of-(\d{5})\.gguf$/;
const numbered = (number: number): string => String(number).padStart(5, "0");

/** A shard's place, counted from 0, and how many there are; a whole file is the only one. */
export function shardOf(metadata: object): { readonly shard: number; readonly shards: number } {
  const { "split.no": shard, "split.count": shards } = metadata as Readonly<Record<string, unknown>>;
  return Number(shards ?? 0) > 1 ? { shard: Number(shard ?? 0), shards: Number(shards) } : { shard: 0, shards: 1 };
}

/** What the names of one file's shards have in common; a name of another form stands for itself. */
export const shardGroup = (name: string): string => NAME.exec(name)?.[1] ?? name;

/**
 * The file, or where its name says that it is a shard, all shards in their order.
 * @param name for messages
 * @throws UserError naming the shard that this file is and the one that is missing
 */
export async function openShards(path: string, name = basename(path)): Promise<OpenFile[]> {
  const [, prefix, shard, count] = NAME.exec(basename(path)) ?? [];
  const files: OpenFile[] = [];
  try {
    for (let i = 1; i <= Number(count ?? 1); i++) {
      const own = count === undefined ? basename(path) : `${prefix}-${numbered(i)}-of-${count}.gguf`;
      files.push(
        await openFile(join(dirname(path), own), join(dirname(name), own)).catch((error: UserError) => {
          if (own === basename(path)) throw error;
          throw new UserError(
            `${name} is shard ${Number(shard)} of ${Number(count)}, and ${error.message}: put all shards into one folder`,
          );
        }),
      );
    }
    return files;
  } catch (error) {
    for (const file of files) await file.close();
    throw error;
  }
}
