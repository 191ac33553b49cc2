// A thread of the pool: takes a task, answers with its result or its error.
import { parentPort } from "node:worker_threads";
import { TASKS, type TaskName } from "./tasks.ts";

parentPort?.on("message", ({ name, argument }: { name: TaskName; argument: never }) => {
  try {
    parentPort?.postMessage({ result: TASKS[name](argument) });
  } catch (error) {
    parentPort?.postMessage({ error });
  }
});
