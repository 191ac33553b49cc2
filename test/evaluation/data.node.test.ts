import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { zipSync } from "fflate";
import { describe, expect, it, test } from "vitest";
import { root } from "../../build/paths.ts";
import { dataDirectory, entryOf, readShipped, readSource } from "../../evaluation/offline/texts.ts";
import { byteLength, countWords } from "../../evaluation/python.ts";
import { SOURCES, type Source } from "../../evaluation/sources.ts";
import { pagesOf } from "../../evaluation/tasks/wikitext.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const temporary = (): Promise<string> => mkdtemp(join(tmpdir(), "franken-data-"));

describe("the data that ships", () => {
  it.each([
    ["hellaswag", 10_042],
    ["triviaqa", 7993],
    ["wiki-heldout", 46],
    ["calibration", 584],
    ["chats", 223],
  ] as const)("%s has the digest that scores name, and %i documents", async (id, count) => {
    const text = await readSource(id, { dataDir: undefined, cache: "none" });
    expect(text.trimEnd().split("\n")).toHaveLength(count);
  });

  const source: Source = {
    title: "Some text",
    file: "data/some.gz",
    shipped: true,
    sha256: sha256(Buffer.from("text")),
  };
  const written = async (content: Uint8Array): Promise<string> => {
    const folder = await temporary();
    await mkdir(join(folder, "data"));
    await writeFile(join(folder, "data/some.gz"), content);
    return folder;
  };
  const packed = gzipSync("text".padEnd(4));

  it("is read when it is whole", async () => {
    expect(Buffer.from(await readShipped(source, await written(packed))).toString()).toBe("text");
  });

  it.each([
    ["cut off", packed.subarray(0, packed.length - 6)],
    ["not gzip", Buffer.from("text")],
    ["another text", gzipSync("other")],
  ])("is named when it is damaged: %s", async (_, content) => {
    await expect(readShipped(source, await written(content))).rejects.toThrow(
      /^data\/some\.gz is damaged .*`git checkout -- data\/some\.gz`/,
    );
  });

  it("is named when it is missing", async () => {
    await expect(readShipped(source, await temporary())).rejects.toThrow(/^data\/some\.gz is missing: .*git checkout/);
  });
});

describe("a text that the project does not hold and has no address of", () => {
  it("is named with its place, its digest and what it is", async () => {
    await expect(readSource("arc-easy", { dataDir: undefined, cache: "none" })).rejects.toThrow(
      /^ARC-Easy test is missing: put it as arc\/arc_easy\.jsonl \(sha256 \w{64}\).*FRANKEN_DATA; it is the test set of/,
    );
  });
});

describe("WikiText-2", () => {
  const file = SOURCES.wikitext2.file;

  it("of another version is named, with how to get the right one", async () => {
    const dataDir = await temporary();
    await mkdir(join(dataDir, "wikitext2"));
    await writeFile(join(dataDir, file), "= = =");
    const reading = readSource("wikitext2", { dataDir, cache: "none" });
    await expect(reading).rejects.toThrow(/wiki\.test\.raw is damaged, or not WikiText-2.*FRANKEN_DATA.*https:/);
  });

  it("comes out of its archive only when both are the expected ones", () => {
    const text = Buffer.from("the text");
    const archive = zipSync({ "folder/text.raw": text, "folder/other": Buffer.from("x") });
    const from = { url: "https://example.invalid", sha256: sha256(archive), entry: "folder/text.raw" };
    expect(Buffer.from(entryOf(archive, from, sha256(text))).toString()).toBe("the text");
    expect(() => entryOf(archive, { ...from, sha256: "0" }, sha256(text))).toThrow("archive is not the one expected");
    expect(() => entryOf(archive, { ...from, entry: "folder/none" }, sha256(text))).toThrow(
      "does not hold folder/none",
    );
    expect(() => entryOf(archive, from, "0")).toThrow("does not hold folder/text.raw");
  });

  const path = join(dataDirectory() ?? root, file);
  // What its pages must be, from the reference scores' description; the text is not the project's to hold.
  test.skipIf(!existsSync(path))(
    "has 62 pages with 241,335 words and 1,290,529 bytes (left out without the text)",
    async () => {
      const pages = pagesOf(await readFile(path, "utf8"));
      const sum = (of: (page: string) => number): number => pages.reduce((total, page) => total + of(page), 0);
      expect([pages.length, sum(countWords), sum(byteLength)]).toEqual([62, 241_335, 1_290_529]);
      expect(pages.slice(0, 20).reduce((total, page) => total + countWords(page), 0)).toBe(75_876);
    },
  );
});
