// The prompt tokens of twelve families' chat templates, which test/tokenizer/families.test.ts holds the gateway to, made anew by transformers.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import { findPython } from "./exports/peers.ts";

const { python, has } = await findPython();
const folder = join(root, "test/fixtures/tokenizers");

it.skipIf(!has("transformers"))("are what transformers gives", async () => {
  const { stdout } = await promisify(execFile)(python, [join(folder, "families.py")], { maxBuffer: 1 << 26 });
  expect(JSON.parse(stdout)).toEqual(JSON.parse(await readFile(join(folder, "families.json"), "utf8")));
});
