// The items that the service measures by itself: of each task's text the sample, packed by the build into the gateway's bundle, because a
// gateway has no files.
import type { Item, Task, TaskTools } from "../../evaluation/task.ts";

/** What the build packs: gzip of JSON, by task. */
export type SamplesFile = Readonly<
  Record<
    string,
    {
      /** sha256 of the task's whole text. */
      readonly dataDigest: string;
      /** Numbers of the items in the whole text, in the order of measurement. */
      readonly items: readonly number[];
      /** The lines of the text that these items are made of. */
      readonly lines: readonly string[];
    }
  >
>;

export interface Sample {
  readonly dataDigest: string;
  readonly items: readonly number[];
  /** @throws Error when the item is not in the sample */
  ready(item: number, tools: TaskTools): Promise<Item>;
}

export interface Samples {
  /** @throws Error when the build packed none for the task */
  of(task: Task): Promise<Sample>;
}

/** @param packed unpacked when it is first asked for */
export function createSamples(packed: ArrayBuffer): Samples {
  let file: Promise<SamplesFile> | undefined;
  return {
    async of(task) {
      file ??= unpack(packed);
      const sample = (await file)[task.id];
      if (!sample) throw new Error(`the build packed no sample of ${task.id}: run the build again`);
      const { dataDigest, items, lines } = sample;
      return {
        dataDigest,
        items,
        async ready(item, tools) {
          const line = lines[items.indexOf(item)];
          if (line === undefined) throw new Error(`item ${item} is not in the sample of ${task.id}`);
          const [ready] = await task.load(line, tools);
          if (!ready) throw new Error(`item ${item} of ${task.id} has no document`);
          return ready();
        },
      };
    },
  };
}

const unpack = (packed: ArrayBuffer): Promise<SamplesFile> =>
  new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
