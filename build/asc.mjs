// The AssemblyScript compiler as a program of its own, run without the TypeScript loader: the loader would take longer over the compiler's
// 13 MB of JavaScript than the compiler takes over the kernels. Argument: JSON, a list of `asc` command lines, compiled one after another in
// one process because the first warms the compiler up for the next.
import { main } from "assemblyscript/asc";

for (const args of JSON.parse(process.argv[2])) {
  const { error } = await main(args, { stdout: process.stderr, stderr: process.stderr });
  if (error) process.exit(1);
}
