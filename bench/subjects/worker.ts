// Our engines in workerd: bundled and configured like the replica, measured here, where the caller is, as tokens arrive.
import { join } from "node:path";
import { bundle } from "../../build/workers.ts";
import type { EngineName } from "../../src/engine/types.ts";
import { startChild } from "../child.ts";
import { benchDir } from "../gguf.ts";
import type { Running, RunRequest, Subject } from "../subject.ts";

export const worker = (engine: EngineName): Subject => {
  let bundled: Promise<void> | undefined;
  return {
    id: `${engine}-workerd`,
    title: `Franken Gateway, ${engine} engine in workerd`,
    ours: true,
    async start({ core }): Promise<Running> {
      bundled ??= bundle(`bench/worker/${engine}.toml`, join(benchDir, `worker-${engine}`));
      await bundled;
      const child = await startChild({ args: ["bench/subjects/worker-child.ts", engine], core });
      return {
        detail: `workerd, one isolate`,
        run: (request) => arrivalsFrom(child.detail, request),
        stop: child.stop,
      };
    },
  };
};

async function arrivalsFrom(url: string, request: RunRequest): Promise<number[][]> {
  const arrivals: number[][] = request.prompts.map(() => []);
  const started = performance.now();
  const response = await fetch(url, { method: "POST", body: JSON.stringify(request) });
  if (!response.ok || !response.body)
    throw new Error(`the bench Worker said ${response.status}: ${await response.text()}`);
  for await (const chunk of response.body) {
    const at = performance.now() - started;
    for (const sequence of chunk) arrivals[sequence]?.push(at);
  }
  const short = arrivals.find((times) => times.length !== request.count);
  if (short) throw new Error(`the bench Worker sent ${short.length} of ${request.count} tokens`);
  return arrivals;
}
