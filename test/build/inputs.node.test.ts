// A step whose inputs lack a file that it runs would keep what an older version of the file made.
import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { root } from "../../build/paths.ts";
import { workersFor } from "../../build/workers.ts";
import { bundleSteps, STEPS } from "../../scripts/build-steps.ts";

/** The project's modules that some modules import, from the root. */
async function modulesOf(entryPoints: readonly string[]): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: entryPoints.map((file) => join(root, file)),
    bundle: true,
    write: false,
    metafile: true,
    outdir: "out",
    absWorkingDir: root,
    logLevel: "silent",
    platform: "node",
    format: "esm",
    packages: "external",
    external: ["cloudflare:*", "*.wasm", "*.bin"],
  });
  return Object.keys(metafile.inputs);
}

const isBelow = (file: string, input: string): boolean => file === input || file.startsWith(`${input}/`);

const steps = [...STEPS, ...bundleSteps()];

it.each(
  steps.map((step) => [step.name, step] as const),
)("the build step %s is stale when a module that it runs has changed", async (_, { code, inputs }) => {
  const known = inputs.map((input) => relative(root, resolve(root, input)));
  const modules = await modulesOf(code);
  expect(modules.length).toBeGreaterThan(0);
  expect(modules.filter((file) => !known.some((input) => isBelow(file, input)))).toEqual([]);
});

it.each(steps.map((step) => [step.name, step] as const))("the inputs of the build step %s are there", (_, {
  inputs,
}) => {
  // Those of a user may be missing.
  const own = inputs.filter((input) => !input.startsWith("/"));
  expect(own.filter((input) => !existsSync(join(root, input)))).toEqual([]);
});

it("a Worker starts with the module that its configuration names", () => {
  for (const { config, entry } of [...workersFor("wasm"), ...workersFor("onnx")]) {
    expect(resolve(root, unstable_readConfig({ config: join(root, config) }).main as string)).toBe(join(root, entry));
  }
});
