// The peers: installed on demand in a folder of their own, each run by a script there.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../../build/paths.ts";
import { startMeasuringChild } from "../child.ts";
import { benchDir, ggufFile } from "../gguf.ts";
import { type Subject, Unavailable } from "../subject.ts";

/** The one base whose GGUF the peers read. */
const BASE = "smollm2-135m-instruct";
const peersDir = join(root, "bench/peers");

/** Builds of llama.cpp that need no more than AVX2, by the names in node-llama-cpp's package. */
const UP_TO_AVX2 = /^libggml-cpu-(x64|sse42|sandybridge|ivybridge|piledriver|haswell)\.so$/;

/** Installs what bench/peers/package-lock.json names, once; the install scripts are not run. */
export function installPeers(): void {
  if (existsSync(join(peersDir, "node_modules/.package-lock.json"))) return;
  process.stderr.write("installing the peers (npm ci in bench/peers, some 140 MB) …\n");
  const { status } = spawnSync("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: peersDir,
    stdio: ["ignore", 2, "inherit"],
    shell: process.platform === "win32",
  });
  if (status !== 0) throw new Error("npm ci in bench/peers failed: see above, or leave the peers out with --only");
}

export const llama: Subject = {
  id: "llama.cpp",
  title: "llama.cpp (node-llama-cpp 3.22.1), best build for this CPU",
  ours: false,
  start: async ({ core }) => startMeasuringChild({ args: ["bench/peers/llama.mjs", await ggufFile(BASE)], core }),
};

export const llamaAvx2: Subject = {
  id: "llama.cpp-avx2",
  title: "llama.cpp (node-llama-cpp 3.22.1), AVX2 build",
  ours: false,
  async start({ core }) {
    if (process.platform !== "linux" || process.arch !== "x64") throw new Unavailable("only Linux on x64 has it");
    const flags = await readFile("/proc/cpuinfo", "utf8");
    if (!/\b(avx512f|avx_vnni)\b/.test(flags))
      throw new Unavailable("this CPU has nothing beyond AVX2: same as llama.cpp");
    return startMeasuringChild({ args: ["bench/peers/llama.mjs", await ggufFile(BASE), await avx2Package()], core });
  },
};

/** A copy of the binaries' package without the builds for newer CPUs; gives its entry. */
async function avx2Package(): Promise<string> {
  const copy = join(benchDir, "llama-avx2");
  await rm(copy, { recursive: true, force: true });
  await mkdir(benchDir, { recursive: true });
  await cp(join(peersDir, "node_modules/@node-llama-cpp/linux-x64"), copy, { recursive: true });
  const bins = join(copy, "bins/linux-x64");
  for (const name of await readdir(bins)) {
    if (name.startsWith("libggml-cpu-") && !UP_TO_AVX2.test(name)) await rm(join(bins, name));
  }
  return join(copy, "dist/index.js");
}

export const wllama: Subject = {
  id: "wllama",
  title: "llama.cpp as WebAssembly (wllama 3.8.1) in Chromium, one thread",
  ours: false,
  start: async ({ core }) => startMeasuringChild({ args: ["bench/peers/wllama.mjs", await ggufFile(BASE)], core }),
};
