// Worker threads that take orders one at a time, in order.
import { Worker } from "node:worker_threads";
import type { Order, Report, WorkerData } from "./worker.ts";

export type Ready = Extract<Report, { type: "ready" }>;
export type Outcome = Exclude<Report, { type: "ready" }>;

export interface Pool {
  /** What the first worker says of engine and tasks. */
  readonly ready: Ready;
  /**
   * Has every order done, the next by whichever worker is free; `onOutcome` is called with each as it is done.
   * @throws Error when a worker dies
   */
  run<T extends Order>(orders: IterableIterator<T>, onOutcome: (order: T, outcome: Outcome) => void): Promise<void>;
  stop(): Promise<void>;
}

/** @param count of worker threads; all start at once */
export async function startPool(count: number, data: WorkerData): Promise<Pool> {
  const workers = Array.from({ length: count }, () => new Worker(new URL(import.meta.url), { workerData: data }));
  const stop = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  };
  try {
    const [ready] = (await Promise.all(workers.map(next))) as Ready[];
    return { ready: ready as Ready, stop, run: (orders, onOutcome) => run(workers, orders, onOutcome) };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The worker's next message. */
const next = (worker: Worker): Promise<Report> =>
  new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      worker.removeAllListeners("message").removeAllListeners("error").removeAllListeners("exit");
      act();
    };
    worker.once("message", (report: Report) => settle(() => resolve(report)));
    worker.once("error", (error) => settle(() => reject(error)));
    worker.once("exit", () => settle(() => reject(new Error("a worker thread ended before its work was done"))));
  });

async function run<T extends Order>(
  workers: readonly Worker[],
  orders: IterableIterator<T>,
  onOutcome: (order: T, outcome: Outcome) => void,
): Promise<void> {
  await Promise.all(
    workers.map(async (worker) => {
      for (const order of orders) {
        const outcome = next(worker);
        worker.postMessage({ variant: order.variant, task: order.task, item: order.item } satisfies Order);
        onOutcome(order, (await outcome) as Outcome);
      }
    }),
  );
}
