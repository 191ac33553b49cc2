// `npm test` and `npm run test:rest`: what they run, as many side by side as there are cores.
// A job's output comes whole when the job ends.
import { spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** A job: what it is called, and the arguments of Node; the package's program is the first one. */
const vitest = (name, ...projects) => [
  name,
  ["vitest/vitest.mjs", "run", ...projects.flatMap((project) => ["--project", project])],
];
const TIERS = {
  // The longest first, since all of them are waited for.
  quick: [
    vitest("tests in workerd", "workerd"),
    ["types", ["typescript/bin/tsc", "--noEmit"]],
    ["lint", ["@biomejs/biome/bin/biome", "check", "--error-on-warnings", "."]],
    vitest("tests in Node", "node", "model", "e2e"),
  ],
  rest: [vitest("slow tests", "node-full", "e2e-full", "full")],
};

/** @returns whether the job passed */
function run([name, [program, ...args]]) {
  const started = performance.now();
  const color = process.stdout.isTTY ? { FORCE_COLOR: "1" } : {};
  console.log(`${name} …`);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [join(root, "node_modules", program), ...args], {
      ...{ cwd: root, env: { ...process.env, ...color }, stdio: ["ignore", "pipe", "pipe"] },
    });
    const output = [];
    child.stdout.on("data", (chunk) => output.push(chunk));
    child.stderr.on("data", (chunk) => output.push(chunk));
    child.on("error", (error) => output.push(Buffer.from(`${error.message}\n`)));
    child.on("close", (code) => {
      process.stdout.write(Buffer.concat(output));
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      console.log(`${name} ${code === 0 ? "passed" : "FAILED"} in ${seconds} s`);
      resolve(code === 0);
    });
  });
}

const jobs = TIERS[process.argv[2]].values();
const results = [];
const lane = async () => {
  for (const job of jobs) results.push(await run(job));
};
await Promise.all(Array.from({ length: availableParallelism() }, lane));
process.exitCode = results.every(Boolean) ? 0 : 1;
