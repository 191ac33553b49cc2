// The bytes of a base's tokens: read when the first request with a grammar comes, once an isolate.
import { readTree, type VocabularyTree } from "../engine/grammar/index.ts";
import { readParts } from "../engine/index.ts";
import type { BaseModel } from "../variants/index.ts";
import { openFrom, type ReplicaEnv } from "./engine.ts";

/** By digest: weight sets of one checkpoint share it. */
const reading = new Map<string, Promise<VocabularyTree>>();

/** @throws EngineError `damaged_weights` when the file is not as the build wrote it; the next call tries again */
export function vocabularyOf({ vocabulary }: BaseModel, env: ReplicaEnv): Promise<VocabularyTree> {
  const known = reading.get(vocabulary.sha256);
  if (known) return known;
  const file = new Uint8Array(vocabulary.bytes);
  const read = readParts([vocabulary], file, { open: openFrom(env) }).then(() => readTree(file));
  reading.set(vocabulary.sha256, read);
  read.catch(() => reading.delete(vocabulary.sha256));
  return read;
}
