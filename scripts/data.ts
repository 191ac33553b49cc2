// Makes the files of data/ from the data sets as their packages hold them: `npm run data -- FOLDER [NAME,…]` (data/README.md says
// where from), and under .eval/ those that the project may not hold. The fields that a task reads, one document a line; what
// comes out is checked against the digests in evaluation/sources.ts.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { root, tokenizersFile } from "../build/paths.ts";
import { readShipped } from "../evaluation/offline/texts.ts";
import { SOURCES, type Source } from "../evaluation/sources.ts";
import { jsonLines as documentsOf } from "../evaluation/task.ts";
import { sha256 } from "../formats/digest.ts";
import { commandVariable } from "../src/config.ts";
import { createTokenizer, type TokenizerJson } from "../src/tokenizer/index.ts";
import { heldChats } from "./data/chats.ts";
import { openBook, type Question } from "./data/open-book.ts";

interface Recipe {
  readonly from: string;
  /** Of the file that it is made from. */
  readonly sha256: string;
  lines(content: Buffer): readonly object[] | Promise<readonly object[]>;
}

const jsonLines = (content: Buffer): Record<string, unknown>[] => documentsOf(content.toString("utf8"));

type Made = "hellaswag" | "triviaqa" | "wiki-heldout" | "calibration" | "chats" | "triviaqa-open";

const RECIPES: Record<Made, Recipe> = {
  hellaswag: {
    from: "hellaswag/hellaswag_val.jsonl",
    sha256: "7d8060e9c98f3ab68bdde03eb2803777636a88af59078cb5eb6dc833aa1b2f9e",
    lines: (content) =>
      jsonLines(content).map(({ activity_label, ctx_a, ctx_b, endings, label }) => ({
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
    lines: (content) => jsonLines(content).map(({ question, aliases }) => ({ question, aliases })),
  },
  "wiki-heldout": {
    from: "calibration/wiki.utf8",
    sha256: "d53fe0aeadf3355eb5d32b48bf8691575244c31caccae88ed46be8e1b40209c7",
    lines: (content) =>
      [...content.toString("utf8").matchAll(/<doc id="(\d+)" url="[^"]*" title="([^"]*)">\n(.*?)\n<\/doc>/gs)]
        .map(([, id, title, body = ""]) => ({ id: Number(id), title, text: body.trim() }))
        .filter(({ id, text }) => isHeldOut(id) && isArticle(text))
        .map(({ title, text }) => ({ title, text })),
  },
  calibration: {
    from: "calibration/c4.utf8",
    sha256: "2daf1ef16e02dbd337f86296acd4c3f2eb703800ad21fd1f48b40280c699cd41",
    lines: (content) =>
      content
        .toString("utf8")
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => ({ text: line })),
  },
  chats: {
    from: "selfsample/chats0.npz",
    sha256: "f6120bb42fbece5f5a9c484a2b0650cc31424438b4d9e839d797c5857af33da1",
    async lines(content) {
      const tokenizers = JSON.parse(await readFile(tokenizersFile, "utf8")) as Record<string, TokenizerJson>;
      return heldChats(content, createTokenizer(tokenizers["smollm2-135m-instruct"] as TokenizerJson));
    },
  },
  "triviaqa-open": {
    from: "enwiki/enwiki_sample.txt.gz",
    sha256: "157eae3f03ddd126bf01eb27f16003149c4a4fbca6bec05a0394a0cc4017f0dd",
    async lines(content) {
      const questions = Buffer.from(await readShipped(SOURCES.triviaqa, root)).toString("utf8");
      return openBook(documentsOf<Question>(questions), content);
    },
  },
};

/** Calibration must leave these documents of wiki.utf8 out. */
const isHeldOut = (id: number): boolean => id % 8 === 0;

/** Long enough to be a text, short enough for an item that a service computes between requests. */
function isArticle(text: string): boolean {
  const words = text.split(/\s+/).length;
  return words >= 200 && words <= 1200;
}

async function make(id: Made, folder: string): Promise<void> {
  const { from, sha256: expected, lines } = RECIPES[id];
  const source = await readFile(join(folder, from)).catch(() => {
    throw new Error(`${join(folder, from)} is missing: data/README.md says where it comes from`);
  });
  if (sha256(source) !== expected) throw new Error(`${from} is another version: its sha256 is not ${expected}`);
  const text = (await lines(source)).map((line) => `${JSON.stringify(line)}\n`).join("");
  const { file, shipped, sha256: wanted }: Source = SOURCES[id];
  const path = shipped ? file : join(".eval", file);
  const content = shipped ? packed(text) : text;
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), content);
  const known = sha256(text) === wanted;
  console.log(`${path}: ${content.length} bytes, text ${sha256(text)}${known ? "" : ", NOT the digest in sources.ts"}`);
  if (!known) process.exitCode = 1;
}

function packed(text: string): Uint8Array {
  const bytes = gzipSync(text, { level: 9 });
  // Which system wrote it: zlib tells, and the file should be the same from all of them.
  bytes[9] = 255;
  return bytes;
}

const [folder = commandVariable("FRANKEN_DATA"), names] = process.argv.slice(2);
const all = Object.keys(RECIPES) as Made[];
const asked = names?.split(",") ?? all;
const unknown = asked.find((name) => !all.some((id) => id === name));
if (!folder || unknown) throw new Error(`usage: npm run data -- FOLDER [NAME,…]; there are ${all.join(", ")}`);
for (const id of all) if (asked.includes(id)) await make(id, folder);
