// Child process of a workerd subject: one Workers runtime with the bundled bench Worker. Argument: the Worker's name.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Log, LogLevel, Miniflare } from "miniflare";
import { quietWrangler } from "../../build/workers.ts";
import { answer, send } from "../answer.ts";
import { benchDir } from "../gguf.ts";

const name = process.argv[2] ?? "";

try {
  Object.assign(process.env, quietWrangler, { WRANGLER_LOG: "error" });
  const { unstable_getMiniflareWorkerOptions } = await import("wrangler");
  const { workerOptions } = unstable_getMiniflareWorkerOptions(join("bench/worker", `${name}.toml`));
  const { modulesRules: _, ...bindings } = workerOptions;
  const dir = join(benchDir, `worker-${name}`);
  const entry = `${name}.js`;
  const wasm = (await readdir(dir)).filter((file) => file.endsWith(".wasm"));
  const miniflare = new Miniflare({
    name,
    ...bindings,
    modulesRoot: dir,
    modules: [
      { type: "ESModule", path: join(dir, entry) },
      ...wasm.map((file) => ({ type: "CompiledWasm" as const, path: join(dir, file) })),
    ],
    host: "127.0.0.1",
    cf: false,
    log: new Log(LogLevel.ERROR),
  });
  const url = await miniflare.ready;
  answer(
    url.href,
    async () => ({ failed: "requests go to the Worker itself" }),
    () => miniflare.dispose(),
  );
} catch (error) {
  send({ unavailable: (error as Error).message });
}
