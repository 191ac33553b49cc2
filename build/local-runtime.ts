// Both Workers for the local runtime: code as bundled by the build, everything else from their wrangler files.
import { readdir } from "node:fs/promises";
import { extname, join } from "node:path";
import { Log, LogLevel, type MiniflareOptions, type WorkerOptions } from "miniflare";
import { commandVariable, setForThisRun } from "../src/config.ts";
import { root, workersDir } from "./paths.ts";
import { quietWrangler, type WorkerSource, workersFor } from "./workers.ts";

/** What a Worker imports beside its code, by file name extension. */
const MODULES: Readonly<Record<string, "CompiledWasm" | "Data">> = { ".wasm": "CompiledWasm", ".bin": "Data" };

/** The engine is the one that the environment's ENGINE names. Options for `new Miniflare`; the caller adds where it listens, where its state lives and who gets the log. */
export async function localRuntime(): Promise<MiniflareOptions & { workers: WorkerOptions[] }> {
  return {
    workers: await Promise.all(workersFor().map(workerOptions)),
    cf: false,
    log: new Log(LogLevel.NONE),
    structuredWorkerdLogs: true,
  };
}

/** Here an isolate is a process of its own: it may hold several weight sets. */
const isolateCeiling = (): string => commandVariable("ISOLATE_CEILING_MIB") ?? "1024";

type DurableObject = NonNullable<WorkerOptions["durableObjects"]>[string];

/** A replica that is idle is not evicted: to open it again would need the disk, which may be full by then. */
const kept = (object: DurableObject): DurableObject =>
  typeof object === "object" && object.className === "Replica" ? { ...object, unsafePreventEviction: true } : object;

async function workerOptions({ name, config, script }: WorkerSource): Promise<WorkerOptions> {
  Object.assign(process.env, quietWrangler, { WRANGLER_LOG: "error" });
  const { unstable_getMiniflareWorkerOptions, unstable_readConfig } = await import("wrangler");
  const { workerOptions, main } = unstable_getMiniflareWorkerOptions(join(root, config));
  const dir = join(workersDir, name);
  const entry = `${main?.split("/").at(-1)?.replace(/\.ts$/, "")}.js`;
  const files = (await readdir(dir)).filter((file) => file === entry || extname(file) in MODULES);
  files.sort((a, b) => Number(b === entry) - Number(a === entry));
  const { modulesRules: _, ...bindings } = workerOptions;
  // What [vars] has may be set otherwise for one run.
  const set = setForThisRun(Object.keys(unstable_readConfig({ config: join(root, config) }).vars));
  const { durableObjects = {} } = bindings;
  const vars = { ...bindings.bindings, ...set };
  return {
    name: script,
    ...bindings,
    durableObjects: Object.fromEntries(Object.entries(durableObjects).map(([name, object]) => [name, kept(object)])),
    bindings: "ISOLATE_CEILING_MIB" in vars ? { ...vars, ISOLATE_CEILING_MIB: isolateCeiling() } : vars,
    modulesRoot: dir,
    modules: files.map((file) => ({
      type: file === entry ? "ESModule" : (MODULES[extname(file)] ?? "ESModule"),
      path: join(dir, file),
    })),
  };
}
