// Where the weight sets of one checkpoint lie in a memory: each is made of files, and a file that several have lies there once.
import type { BaseModel, BuiltFile, ModelConfig } from "./base.ts";
import { checkpointOf } from "./checkpoint.ts";

/** Files that lie side by side, because a tensor reaches from one into the next. */
export interface Run {
  readonly key: string;
  readonly parts: readonly BuiltFile[];
  /** Place in the image of a weight set. */
  readonly start: number;
  readonly bytes: number;
}

export interface Layout {
  /** Of all weight sets together. */
  readonly bytes: number;
  /** Places of runs, by key; tensors lie at 64-byte boundaries where the whole does. */
  readonly places: ReadonlyMap<string, number>;
}

const ALIGNMENT = 64;
const known = new WeakMap<BaseModel, readonly Run[]>();

/** The runs of a weight set's image, in order: as few files each as no tensor reaches out of. */
export function runsOf(base: BaseModel): readonly Run[] {
  const made = known.get(base) ?? cut(base);
  known.set(base, made);
  return made;
}

function cut({ parts, tensors }: BaseModel): Run[] {
  const runs: Run[] = [];
  let open: BuiltFile[] = [];
  let [start, end] = [0, 0];
  for (const part of parts) {
    open.push(part);
    end += part.bytes;
    const border = end;
    if (tensors.some(({ offset, bytes }) => offset < border && offset + bytes > border)) continue;
    // What lies elsewhere in its image may be moved only by whole boundaries.
    const key = [start % ALIGNMENT, ...open.map(({ sha256 }) => sha256)].join(" ");
    runs.push({ key, parts: open, start, bytes: end - start });
    [open, start] = [[], end];
  }
  return runs;
}

export function layOut(bases: readonly BaseModel[]): Layout {
  const places = new Map<string, number>();
  let end = 0;
  for (const { key, start, bytes } of bases.flatMap(runsOf)) {
    if (places.has(key)) continue;
    const at = Math.ceil(end / ALIGNMENT) * ALIGNMENT + (start % ALIGNMENT);
    places.set(key, at);
    end = at + bytes;
  }
  return { bytes: end, places };
}

/**
 * The weight sets that share the memory of one: of those of its checkpoint and shapes, in order, all that there is room for.
 * @param room bytes for what they have not in common with it
 */
export function sharingWith(first: BaseModel, bases: readonly BaseModel[], room: number): [BaseModel, ...BaseModel[]] {
  const own = layOut([first]).bytes;
  const all: [BaseModel, ...BaseModel[]] = [first];
  for (const base of bases) {
    if (base === first || checkpointOf(base) !== checkpointOf(first)) continue;
    if (!haveSameShapes(base.config, first.config)) continue;
    if (layOut([...all, base]).bytes - own <= room) all.push(base);
  }
  return all;
}

/** Weight sets of one checkpoint may have fewer or more layers. */
const haveSameShapes = (a: ModelConfig, b: ModelConfig): boolean =>
  JSON.stringify({ ...a, layers: 0 }) === JSON.stringify({ ...b, layers: 0 });
