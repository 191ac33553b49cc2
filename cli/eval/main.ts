// `npm run eval`: measures variants on tasks, offline. Built into one file, which is also what its worker threads run: it needs Node, dist/
// and data/, and no installed packages.
import { isMainThread } from "node:worker_threads";
import { runWorker } from "../../evaluation/offline/worker.ts";
import { runCommand } from "./command.ts";
import { UsageError } from "./options.ts";

if (!isMainThread) {
  await runWorker();
} else {
  try {
    process.exitCode = await runCommand(process.argv.slice(2));
  } catch (error) {
    const usage = error instanceof UsageError ? "\n`npm run eval -- --help` says what there is" : "";
    console.error(`${(error as Error).message}${usage}`);
    process.exitCode = 1;
  }
}
