// The benchmark's Worker around an engine: loads it at the first request and streams one byte a token, the index of its sequence.
import catalogueJson from "../../dist/catalogue.json";
import { runEngine } from "../../evaluation/offline/engine-run.ts";
import type { Engine } from "../../src/engine/types.ts";
import type { OpenFile } from "../../src/engine/weights.ts";
import { createPace } from "../../src/replica/pace.ts";
import type { BaseModel } from "../../src/variants/base.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";
import type { RunRequest } from "../subject.ts";

interface Env {
  readonly WEIGHTS: Fetcher;
}

export interface BenchWorkerOptions {
  readonly load: (options: { readonly base: BaseModel; readonly open: OpenFile }) => Promise<Engine>;
  /** As in the replica: multiply-adds between two turns of the event loop. */
  readonly paceMultiplyAdds: number;
}

export function createBenchWorker({ load, paceMultiplyAdds }: BenchWorkerOptions): ExportedHandler<Env> {
  const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));
  let engine: Promise<Engine> | undefined;
  return {
    async fetch(request, env) {
      const { variant, prompts, count } = await request.json<RunRequest>();
      const plan = catalogue.get(variant)?.plan;
      if (!plan) return new Response(`no variant ${variant}`, { status: 404 });
      const open: OpenFile = async ({ file }) =>
        (await env.WEIGHTS.fetch(`https://assets.invalid/${file}`)).body ?? undefined;
      engine ??= load({ base: plan.base, open });
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      const run = async (): Promise<void> => {
        await runEngine({
          engine: await engine!,
          plan,
          prompts: prompts.map((prompt) => prompt.ids),
          count,
          pace: createPace(paceMultiplyAdds),
          onToken: (sequence) => writer.write(new Uint8Array([sequence])),
        });
        await writer.close();
      };
      run().catch((error: Error) => writer.abort(error));
      // Without a type that is never compressed, the local runtime gzips the reply and holds tokens back.
      return new Response(readable, { headers: { "content-type": "application/octet-stream" } });
    },
  };
}
