// Makes the files of data/ from the data sets as their packages hold them: `npm run data -- FOLDER` (data/README.md says where from). The
// fields that a task reads, one document a line; what comes out is checked against the digests in src/scores/sources.ts.
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { SOURCES } from "../src/scores/sources.ts";
import { root } from "./build/paths.ts";

interface Recipe {
  readonly from: string;
  /** Of the file that it is made from. */
  readonly sha256: string;
  lines(text: string): object[];
}

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));

const RECIPES: Record<"hellaswag" | "triviaqa" | "wiki-heldout" | "calibration", Recipe> = {
  hellaswag: {
    from: "hellaswag/hellaswag_val.jsonl",
    sha256: "7d8060e9c98f3ab68bdde03eb2803777636a88af59078cb5eb6dc833aa1b2f9e",
    lines: (text) =>
      jsonLines(text).map(({ activity_label, ctx_a, ctx_b, endings, label }) => ({
        activity_label,
        ctx_a,
        ctx_b,
        endings,
        label: Number(label),
      })),
  },
  triviaqa: {
    from: "triviaqa/triviaqa_rc_wikipedia_nocontext_validation.jsonl",
    sha256: "ece6dd7c23cc11ed32722028fdfa7ff6735f0affb606a06e1c1f17ca069bb1c8",
    lines: (text) => jsonLines(text).map(({ question, aliases }) => ({ question, aliases })),
  },
  "wiki-heldout": {
    from: "calibration/wiki.utf8",
    sha256: "d53fe0aeadf3355eb5d32b48bf8691575244c31caccae88ed46be8e1b40209c7",
    lines: (text) =>
      [...text.matchAll(/<doc id="(\d+)" url="[^"]*" title="([^"]*)">\n(.*?)\n<\/doc>/gs)]
        .map(([, id, title, body = ""]) => ({ id: Number(id), title, text: body.trim() }))
        .filter(({ id, text }) => isHeldOut(id) && isArticle(text))
        .map(({ title, text }) => ({ title, text })),
  },
  calibration: {
    from: "calibration/c4.utf8",
    sha256: "2daf1ef16e02dbd337f86296acd4c3f2eb703800ad21fd1f48b40280c699cd41",
    lines: (text) =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => ({ text: line })),
  },
};

/** Calibration must leave these documents of wiki.utf8 out. */
const isHeldOut = (id: number): boolean => id % 8 === 0;

/** Long enough to be a text, short enough for an item that a service computes between requests. */
function isArticle(text: string): boolean {
  const words = text.split(/\s+/).length;
  return words >= 200 && words <= 1200;
}

const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");

async function make(id: keyof typeof RECIPES, folder: string): Promise<void> {
  const { from, sha256: expected, lines } = RECIPES[id];
  const source = await readFile(join(folder, from)).catch(() => {
    throw new Error(`${join(folder, from)} is missing: data/README.md says which package it comes from`);
  });
  if (sha256(source) !== expected) throw new Error(`${from} is another version: its sha256 is not ${expected}`);
  const text = `${lines(source.toString("utf8"))
    .map((line) => JSON.stringify(line))
    .join("\n")}\n`;
  const packed = gzipSync(text, { level: 9 });
  // Which system wrote it: zlib tells, and the file should be the same from all of them.
  packed[9] = 255;
  await writeFile(join(root, SOURCES[id].file), packed);
  const known = sha256(text) === SOURCES[id].sha256;
  console.log(
    `${SOURCES[id].file}: ${packed.length} bytes, text ${sha256(text)}${known ? "" : ", NOT the digest in sources.ts"}`,
  );
  if (!known) process.exitCode = 1;
}

const folder = process.argv[2] ?? process.env.FRANKEN_DATA;
if (!folder) throw new Error("usage: npm run data -- FOLDER, which holds hellaswag/, triviaqa/ and calibration/");
for (const id of Object.keys(RECIPES) as (keyof typeof RECIPES)[]) await make(id, folder);
