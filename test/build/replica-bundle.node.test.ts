import { join } from "node:path";
import { build } from "esbuild";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";

it("the replica's bundle has no package but those that it computes with", async () => {
  const { metafile } = await build({
    entryPoints: [join(root, "src/replica.ts")],
    absWorkingDir: root,
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    external: ["cloudflare:*", "node:*", "*.json", "*.wasm"],
  });
  const [output] = Object.values(metafile.outputs);
  const packages = Object.entries(output?.inputs ?? {})
    .filter(([file, { bytesInOutput }]) => file.startsWith("node_modules/") && bytesInOutput > 0)
    .map(([file]) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(file)?.[1]);
  // zod alone would take 1.5 MiB of the isolate.
  expect([...new Set(packages)]).toEqual([]);
});
