// Threads, as many as the machine has cores, that compute tasks in the order in which they come.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { TaskArgument, TaskName, TaskResult } from "./tasks.ts";

export interface Pool {
  /** Rejects with what the task throws. */
  run<Name extends TaskName>(name: Name, argument: TaskArgument<Name>): Promise<TaskResult<Name>>;
  close(): Promise<void>;
}

interface Waiting {
  readonly message: { readonly name: TaskName; readonly argument: unknown };
  readonly resolve: (result: never) => void;
  readonly reject: (error: unknown) => void;
}

export function createPool(size = availableParallelism()): Pool {
  const workers: Worker[] = [];
  const idle: Worker[] = [];
  const queue: Waiting[] = [];
  const busy = new Map<Worker, Waiting>();

  const next = (worker: Worker): void => {
    const waiting = queue.shift();
    if (!waiting) {
      idle.push(worker);
      return;
    }
    busy.set(worker, waiting);
    worker.postMessage(waiting.message);
  };
  const start = (): Worker => {
    const worker = new Worker(new URL("./start.mjs", import.meta.url));
    workers.push(worker);
    worker.unref();
    worker.on("message", ({ result, error }: { result: never; error?: unknown }) => {
      const waiting = busy.get(worker);
      busy.delete(worker);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(error);
      next(worker);
    });
    worker.on("error", (error) => busy.get(worker)?.reject(error));
    return worker;
  };
  return {
    run(name, argument) {
      return new Promise((resolve, reject) => {
        queue.push({ message: { name, argument }, resolve: resolve as (result: never) => void, reject });
        const worker = idle.pop() ?? (workers.length < size ? start() : undefined);
        if (worker) next(worker);
      });
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
