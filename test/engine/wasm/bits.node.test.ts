// The base's logits, to the bit, with relaxed SIMD (which this Node must be told to allow) and without.
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const script = fileURLToPath(new URL("bits.ts", import.meta.url));
const run = async (...flags: string[]): Promise<string[]> => {
  const { stdout } = await promisify(execFile)(process.execPath, [...flags, "--import", "tsx", script]);
  return stdout.trim().split(" ");
};

it("computes the same bits with relaxed and with plain SIMD", async () => {
  const [relaxed, relaxedDigest] = await run("--experimental-wasm-relaxed-simd");
  const [plain, plainDigest] = await run();
  expect([relaxed, plain]).toEqual(["relaxed", "plain"]);
  expect(relaxedDigest).toMatch(/^[0-9a-f]{64}$/);
  expect(plainDigest).toBe(relaxedDigest);
});
