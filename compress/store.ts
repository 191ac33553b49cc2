// The folder of artifacts: recipes, the tensors that they change (by content, so that variants share them) and their adapters. A recipe is
// put in place last: what has one is whole.
import { randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { artifactsDir } from "../build/paths.ts";
import { sha256 } from "../formats/digest.ts";
import { UserError } from "../formats/error.ts";
import { peftFiles } from "../formats/peft/write.ts";
import type { SlotRecipe, StoredTensor } from "../src/variants/index.ts";
import type { Artifact } from "./artifact.ts";

/** A changed tensor of a recipe: its bytes are `tensors/<sha256>.bin`. */
export interface StoredChange extends StoredTensor {
  readonly name: string;
}

export interface StoreOptions {
  /** Default: `FRANKEN_ARTIFACTS`, else `artifacts` at the project's root. */
  readonly folder?: string | undefined;
  /** Replaces an artifact of the same id and other content. */
  readonly force?: boolean | undefined;
  /** Writes a new file until it is on the disk. For tests. */
  readonly write?: ((file: string, bytes: Uint8Array) => Promise<void>) | undefined;
}

export const artifactsFolder = artifactsDir;

const readIfThere = (file: string): Promise<Uint8Array | undefined> =>
  readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });

/**
 * Writes an artifact: every file under a temporary name first, the recipe last. The same artifact gives the same bytes.
 * @returns the recipe's path, and whether it was there already
 * @throws UserError when the id exists with other content and `force` is not set, or when a file cannot be written: then the artifact
 *   that was there before is still there
 */
export async function writeArtifact(
  artifact: Artifact,
  { folder = artifactsFolder(), force = false, write = writeDurably }: StoreOptions = {},
): Promise<{ readonly file: string; readonly existed: boolean }> {
  const { id } = artifact.recipe;
  const tensors = artifact.tensors.map(({ data, ...tensor }) => ({ ...tensor, sha256: sha256(data) }));
  const adapterFolder = join(folder, "adapters", id);
  const adapterFiles = artifact.adapter
    ? peftFiles(artifact.adapter, artifact.recipe.base)
    : new Map<string, Uint8Array>();
  const recipe: SlotRecipe = {
    ...artifact.recipe,
    ...(tensors.length > 0
      ? { tensors: Object.fromEntries(tensors.map(({ name, ...tensor }) => [name, tensor])) }
      : {}),
    ...(artifact.adapter
      ? { adapter: { file: `artifacts/adapters/${id}/adapter_model.safetensors`, numbering: "layers" } }
      : {}),
    provenance: artifact.provenance,
  };
  const bytes = Buffer.from(`${JSON.stringify(recipe, null, 2)}\n`);
  const file = join(folder, "recipes", `${id}.json`);

  const before = await readIfThere(file);
  const same = async (path: string, wanted: Uint8Array): Promise<boolean> => {
    const found = await readIfThere(path);
    return found !== undefined && Buffer.compare(found, wanted) === 0;
  };
  if (before) {
    const checks = [...adapterFiles].map(([name, wanted]) => same(join(adapterFolder, name), wanted));
    const unchanged = Buffer.compare(before, bytes) === 0 && (await Promise.all(checks)).every(Boolean);
    if (!unchanged && !force) {
      throw new UserError(
        `${id} exists with other content in ${folder}: choose another --id, or replace it with --force`,
      );
    }
    if (unchanged && (await allThere(tensors, folder))) return { file, existed: true };
  }

  const temporary = join(folder, `.tmp-${process.pid}-${randomUUID()}`);
  try {
    await removeAbandoned(folder);
    for (const made of [temporary, join(folder, "recipes"), join(folder, "tensors"), join(folder, "adapters")]) {
      await mkdir(made, { recursive: true });
    }
    for (const { data } of artifact.tensors) {
      const digest = sha256(data);
      const path = join(folder, "tensors", `${digest}.bin`);
      if (await same(path, data)) continue;
      await write(join(temporary, digest), data);
      await rename(join(temporary, digest), path);
    }
    if (adapterFiles.size > 0) {
      await mkdir(join(temporary, "adapter"));
      for (const [name, content] of adapterFiles) await write(join(temporary, "adapter", name), content);
    }
    await write(join(temporary, "recipe.json"), bytes);
    // What is replaced by force must not be found half old and half new.
    await rm(file, { force: true });
    await rm(adapterFolder, { recursive: true, force: true });
    if (adapterFiles.size > 0) await rename(join(temporary, "adapter"), adapterFolder);
    await rename(join(temporary, "recipe.json"), file);
    return { file, existed: before !== undefined };
  } catch (error) {
    if (error instanceof UserError) throw error;
    const { code, message } = error as NodeJS.ErrnoException;
    const size = artifact.tensors.reduce((sum, { data }) => sum + data.length, bytes.length) / 1e6;
    const why = code === "ENOSPC" ? `the disk is full, and ${id} takes ${size.toFixed(1)} MB` : message;
    throw new UserError(
      `${id} was not written to ${folder}: ${why}. Nothing of it is left; make room or set FRANKEN_ARTIFACTS to another folder`,
    );
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * An artifact's recipe.
 * @throws UserError when there is none of this id, naming those that there are
 */
export async function readArtifactRecipe(id: string, folder = artifactsFolder()): Promise<SlotRecipe> {
  const file = join(folder, "recipes", `${id}.json`);
  const text = /^[a-z0-9][a-z0-9.-]*$/.test(id) ? await readIfThere(file) : undefined;
  if (!text)
    throw new UserError(
      `no artifact ${id} in ${folder}; there are: ${(await listArtifacts(folder)).join(", ") || "none"}`,
    );
  try {
    return JSON.parse(Buffer.from(text).toString("utf8")) as SlotRecipe;
  } catch (error) {
    throw new UserError(`${file} is not JSON (${(error as Error).message}): make the artifact again`);
  }
}

/** The tensors that a recipe changes, in its order. */
export const changesOf = ({ tensors = {} }: SlotRecipe): StoredChange[] =>
  Object.entries(tensors).map(([name, tensor]) => ({ name, ...tensor }));

/** @throws UserError naming the file that is missing or does not have the content that its name says */
export async function readChange(
  { name, sha256: digest }: StoredChange,
  folder = artifactsFolder(),
): Promise<Uint8Array> {
  const file = join(folder, "tensors", `${digest}.bin`);
  const data = await readIfThere(file);
  const problem = !data ? "is missing" : sha256(data) === digest ? undefined : "is damaged";
  if (!data || problem)
    throw new UserError(`${file}, which holds ${name}, ${problem}: make the artifact again with --force`);
  return data;
}

async function allThere(changes: readonly StoredChange[], folder: string): Promise<boolean> {
  const reads = changes.map((change) =>
    readChange(change, folder).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(reads)).every(Boolean);
}

/** Ids of all whole artifacts, in order. */
export async function listArtifacts(folder = artifactsFolder()): Promise<string[]> {
  const names = await readdir(join(folder, "recipes")).catch(() => []);
  return names
    .filter((name) => name.endsWith(".json"))
    .map((name) => name.slice(0, -".json".length))
    .sort();
}

async function writeDurably(file: string, bytes: Uint8Array): Promise<void> {
  const handle = await open(file, "wx");
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Removes what processes that are no more left under temporary names, which are `start`, a process id, a hyphen and more. */
export async function removeAbandoned(folder: string, start = ".tmp-"): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const pid = name.startsWith(start) ? /^(\d+)-/.exec(name.slice(start.length))?.[1] : undefined;
    if (pid && !isRunning(Number(pid))) await rm(join(folder, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
