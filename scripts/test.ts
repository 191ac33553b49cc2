// `npm test` and `npm run check`: runs a tier's jobs, as many side by side as there are cores. A
// job's output comes whole when the job ends.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { root } from "../build/paths.ts";
import { type Job, TIERS } from "./tiers.ts";

/** @returns whether the job passed */
function run({ name, args }: Job): Promise<boolean> {
  const started = performance.now();
  const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  console.log(`${name} …`);
  const child = spawn(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...color },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
  return new Promise((resolve) => {
    child.on("error", ({ message }) => output.push(Buffer.from(`${message}\n`)));
    child.on("close", (code) => {
      process.stdout.write(Buffer.concat(output));
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      console.log(`${name} ${code === 0 ? "passed" : "FAILED"} in ${seconds} s`);
      resolve(code === 0);
    });
  });
}

const tier = process.argv[2] as keyof typeof TIERS;
const jobs = TIERS[tier].values();
const results: boolean[] = [];
const lane = async (): Promise<void> => {
  for (const job of jobs) results.push(await run(job));
};
await Promise.all(Array.from({ length: availableParallelism() }, lane));
process.exitCode = results.every(Boolean) ? 0 : 1;
