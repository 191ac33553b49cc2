// The tree that the build writes has the very tokens that the gateway's tokenizer has. In Node, because it reads what is built.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { catalogueFile, tokenizersFile, weightsDir } from "../../../build/paths.ts";
import { readTree } from "../../../src/engine/grammar/index.ts";
import { SUBTREE } from "../../../src/engine/grammar/vocabulary.ts";
import type { TokenizerJson } from "../../../src/tokenizer/index.ts";
import { createReading } from "../../../src/tokenizer/reading.ts";
import { createVocabulary } from "../../../src/tokenizer/vocabulary.ts";
import { catalogueFileSchema } from "../../../src/variants/catalogue-file.ts";

it("has every token that is text, with its bytes, and no control token", async () => {
  const { bases } = catalogueFileSchema.parse(JSON.parse(await readFile(catalogueFile, "utf8")));
  const tokenizers: Record<string, TokenizerJson> = JSON.parse(await readFile(tokenizersFile, "utf8"));
  for (const { id: baseId, vocabulary, config } of bases) {
    const { nodes, ids, size } = readTree(new Uint8Array(await readFile(join(weightsDir, vocabulary.file))));
    expect(size).toBe(config.vocab);
    const bytesById = new Map<number, number[]>();
    const way: { byte: number; end: number }[] = [];
    for (const [at, node] of nodes.entries()) {
      while (way.length > 0 && at >= (way.at(-1)?.end as number)) way.pop();
      way.push({ byte: node >>> 24, end: at + (node & SUBTREE) });
      const id = ids[at] as number;
      if (id >= 0)
        bytesById.set(
          id,
          way.map(({ byte }) => byte),
        );
    }
    const { tokenizer } = tokenizers[baseId] as TokenizerJson;
    const specials = new Map(tokenizer.added_tokens.map(({ content, id }) => [content, id]));
    const expected = createVocabulary(
      new Map(Object.entries(tokenizer.model.vocab)),
      specials,
      createReading(tokenizer).bytesOf,
    );
    const control = new Set(tokenizer.added_tokens.filter(({ special }) => special).map(({ id }) => id));
    for (let id = 0; id < size; id++) {
      expect(bytesById.get(id), `token ${id}`).toEqual(control.has(id) ? undefined : [...expected.bytesOf(id)]);
    }
  }
});
