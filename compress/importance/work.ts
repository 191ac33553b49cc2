// Results of long measurements, kept as they come, so that a run that was cut off goes on where it was.
import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { sha256 } from "../../formats/digest.ts";
import { UserError } from "../../formats/error.ts";

export interface WorkLog<T> {
  get(key: string): T | undefined;
  /**
   * Keeps a value; one that is kept already stays.
   * @throws UserError naming the file that can't be written, as on a full disk
   */
  add(key: string, value: T): void;
}

/** Keeps nothing beyond this process. */
export function memoryLog<T>(): WorkLog<T> {
  const kept = new Map<string, T>();
  return { get: (key) => kept.get(key), add: (key, value) => void kept.set(key, value) };
}

/**
 * Opens a log, or begins it: JSON lines under `folder`/work. A line that was cut off counts as not written.
 * @param digests all that the results depend on, beside their keys
 * @throws UserError naming the folder that can't be made
 */
export function openWorkLog<T>(folder: string, name: string, digests: readonly string[]): WorkLog<T> {
  const digest = sha256(digests.join("\n")).slice(0, 16);
  const file = join(folder, "work", `${name}-${digest}.jsonl`);
  const kept = memoryLog<T>();
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  for (const line of text.split("\n")) {
    try {
      const { key, value } = JSON.parse(line) as { key: string; value: T };
      kept.add(key, value);
    } catch {
      // The last line of a run that was killed, or the empty one at the end.
    }
  }
  write(file, () => {
    mkdirSync(dirname(file), { recursive: true });
    if (text !== "" && !text.endsWith("\n")) appendFileSync(file, "\n");
  });
  return {
    get: kept.get,
    add(key, value) {
      if (kept.get(key) !== undefined) return;
      kept.add(key, value);
      write(file, () => appendFileSync(file, `${JSON.stringify({ key, value })}\n`));
    },
  };
}

function write(file: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOSPC" ? "the disk is full" : message;
    throw new UserError(
      `results could not be kept in ${file}: ${why}. Make room and give the same command again: it goes on from here`,
    );
  }
}
