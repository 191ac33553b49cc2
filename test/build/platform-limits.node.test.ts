// What is deployed stays within the limits of Workers Paid that docs/limits.md lists, as far as a build
// can tell. The documentation of the platform is the source of the numbers.
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { startMeasured } from "../../bench/cpu.ts";
import { localRuntime } from "../../build/local-runtime.ts";
import { root, weightsDir, workersDir } from "../../build/paths.ts";
import { readCatalogue } from "../../evaluation/offline/built.ts";

const MIB = 2 ** 20;
const MOST = {
  cpuMs: 300_000,
  startUpMs: 1_000,
  scriptBytes: 64 * MIB,
  compressedBytes: 10e6,
  assetBytes: 25 * MIB,
  assets: 20_000,
  subrequests: 10_000,
};
const config = (file: string) => unstable_readConfig({ config: join(root, file) });

describe.each(["wrangler.replica.toml", "wrangler.replica-onnx.toml"])("%s", (file) => {
  it("lets an answer compute until the request's deadline", () => {
    const deadlineMs = Number(config("wrangler.toml").vars.REQUEST_DEADLINE_MS);
    const cpuMs = config(file).limits?.cpu_ms ?? 30_000;
    expect(cpuMs).toBeGreaterThanOrEqual(deadlineMs);
    expect(cpuMs).toBeLessThanOrEqual(MOST.cpuMs);
  });
});

describe.each(["gateway", "replica"])("the script of the %s", (name) => {
  it("is small enough to be uploaded", async () => {
    const folder = join(workersDir, name);
    const modules = (await readdir(folder)).filter((file) => /\.(js|wasm|bin)$/.test(file));
    const bytes = Buffer.concat(await Promise.all(modules.map((file) => readFile(join(folder, file)))));
    expect(modules).toContain(`${name}.js`);
    expect(bytes.length).toBeLessThanOrEqual(MOST.scriptBytes);
    expect(gzipSync(bytes).length).toBeLessThanOrEqual(MOST.compressedBytes);
  });
});

describe("the weights", () => {
  it("are few enough files, each small enough for a static asset", async () => {
    const files = await readdir(weightsDir);
    const sizes = await Promise.all(files.map(async (file) => (await stat(join(weightsDir, file))).size));
    expect(Math.max(...sizes)).toBeLessThanOrEqual(MOST.assetBytes);
    expect(files.length).toBeLessThanOrEqual(MOST.assets);
  });

  it("take a hundredth of the subrequests that one event may make", async () => {
    const bases = [...(await readCatalogue()).values()].map(({ plan }) => plan.base);
    const parts = Math.max(...bases.map((base) => base.parts.length));
    expect(parts).toBeGreaterThan(1);
    expect(parts).toBeLessThanOrEqual(MOST.subrequests / 100);
  });
});

describe.runIf(process.platform === "linux")("start-up", () => {
  it("of both Workers together takes less CPU than that of one may take", async () => {
    const { miniflare, cpuMs } = await startMeasured(await localRuntime());
    try {
      const { status } = await miniflare.dispatchFetch("http://gateway.test/no-such-page");
      expect(status).toBe(404);
      expect(cpuMs()).toBeGreaterThan(0);
      expect(cpuMs()).toBeLessThan(MOST.startUpMs);
    } finally {
      await miniflare.dispose();
    }
  });
});
