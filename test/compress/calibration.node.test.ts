// Calibration text, and what is said when it does not do.
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, it } from "vitest";
import { readCalibration } from "../../compress/calibration.ts";
import { openCheckpoint } from "../../compress/open.ts";
import type { Checkpoint } from "../../formats/checkpoint.ts";

let checkpoint: Checkpoint;
beforeAll(async () => {
  checkpoint = await openCheckpoint("smollm2-135m");
});

async function file(content: string | Uint8Array): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), "franken-text-")), "text");
  await writeFile(path, content);
  return path;
}

const prose = Array.from({ length: 400 }, (_, i) => `Line ${i} says that ${i * 7} is seven times ${i}.\n`).join("");

describe("calibration", () => {
  it("takes the text that ships, the same each time", async () => {
    const one = await readCalibration(checkpoint, { sequences: 8, length: 64 });
    expect(one.tokens.ids).toHaveLength(8 * 64);
    expect(await readCalibration(checkpoint, { sequences: 8, length: 64 })).toEqual(one);
    expect((await readCalibration(checkpoint, { sequences: 4, length: 128 })).digest).not.toBe(one.digest);
  });

  it("reads a file, gzip or not, from its beginning to its end", async () => {
    const plain = await readCalibration(checkpoint, { text: await file(prose), sequences: 3, length: 32 });
    const packed = await readCalibration(checkpoint, { text: await file(gzipSync(prose)), sequences: 3, length: 32 });
    expect(packed.tokens).toEqual(plain.tokens);
    const whole = await readCalibration(checkpoint, { text: await file(prose), sequences: 50, length: 100 });
    expect(
      new Set(Array.from({ length: 50 }, (_, i) => whole.tokens.ids.slice(i * 100, i * 100 + 100).join())).size,
    ).toBe(50);
  });

  it("takes sequences one after the other from a text's start, where that is asked for", async () => {
    const text = await file(prose);
    const all = (await readCalibration(checkpoint, { text, sequences: 50, length: 100 })).tokens.ids;
    const { tokens } = await readCalibration(checkpoint, { text, sequences: 5, length: 30, sample: "start" });
    expect([...tokens.ids]).toEqual([...all.subarray(0, 150)]);
  });

  it.each([
    ["empty", "", /has 0 tokens, but 4 sequences of 64 need 256: give more text, or a lower --sequences or --length/],
    ["tiny", "Not much.", /has 3 tokens, but/],
    ["not UTF-8", Uint8Array.of(72, 0xff, 0xfe, 72), /is damaged, or not UTF-8/],
    ["a cut-off gzip", gzipSync(prose).subarray(0, 100), /is damaged, or not UTF-8/],
  ])("refuses a text that is %s", async (_, content, message) => {
    const text = await file(content);
    await expect(readCalibration(checkpoint, { text, sequences: 4, length: 64 })).rejects.toThrow(message);
  });

  it("names a file that is not there, and a length that does not fit", async () => {
    await expect(readCalibration(checkpoint, { text: "/nowhere", sequences: 4, length: 64 })).rejects.toThrow(
      /\/nowhere can't be read: there is no such file/,
    );
    await expect(readCalibration(checkpoint, { sequences: 1, length: 9000 })).rejects.toThrow(
      /--length must be 2 to 8192, the context of smollm2-135m/,
    );
  });
});
