import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import type { ItemResult, RecordedScore } from "../../evaluation/index.ts";
import { readRecorded } from "../../evaluation/offline/pack-recorded.ts";
import { variantsPage } from "../../scripts/readme/answers.ts";
import { PICTURES, pictureOf } from "../../scripts/readme/pareto.ts";
import { COLUMNS, standingsOf, standingsTable } from "../../scripts/readme/standing.ts";
import { readShipped, writtenFiles } from "../../scripts/readme.ts";
import { statuses } from "../../scripts/status.ts";
import type { Variant } from "../../src/variants/catalogue.ts";
import { variantDigest } from "../../src/variants/digest.ts";

const catalogue = await readShipped();
const recorded = await readRecorded();
const status = statuses(catalogue, recorded);

it.each([
  ...(await writtenFiles(catalogue, recorded)),
])("%s is what catalogue and scores give: run `npm run readme` when this fails", async (file, text) => {
  expect(text).toBe(await readFile(join(root, file), "utf8"));
});

it("each shipped variant has the status that its scores give it: run `npm run readme` when this fails", () => {
  expect(Object.fromEntries([...catalogue].map(([id, { recipe }]) => [id, recipe.status]))).toEqual(
    Object.fromEntries(status),
  );
});

describe("made-up scores", () => {
  const [base, pruned] = ["smollm2-135m", "smollm2-135m-attn-drop-5"].map((id) => catalogue.get(id) as Variant) as [
    Variant,
    Variant,
  ];
  const score = (
    { plan }: Variant,
    task: string,
    results: readonly (readonly [number, ItemResult])[],
  ): RecordedScore => ({
    variant: plan.id,
    task,
    command: "",
    recorded: "2026-01-01T00:00:00.000Z",
    taskVersion: 1,
    seconds: 1,
    digests: { variant: variantDigest(plan), engine: "e", data: "d" },
    metrics: {},
    count: results.length,
    results: new Map(results),
  });
  const page = (logLikelihood: number): ItemResult => ({ logLikelihood, words: 10, bytes: 50 });
  const said = (answer: string, ended: number): ItemResult => ({ ended, repeated: 0, tokens: 5, answer });
  const scores = [
    score(base, "wikitext", [
      [0, page(-30)],
      [1, page(-20)],
      [2, page(-99)],
    ]),
    score(pruned, "wikitext", [
      [0, page(-40)],
      [1, page(-20)],
    ]),
    score(base, "chat-answers", [[0, said("A | *list*:\n- one & <b>", 1)]]),
  ];
  const standings = standingsOf(catalogue, scores, new Map([...catalogue.keys()].map((id) => [id, "research"])));
  const two = standingsOf(
    catalogue,
    scores,
    new Map(
      [...catalogue.keys()].map((id) => [id, id === base.recipe.id || id === pruned.recipe.id ? "stable" : "research"]),
    ),
  );

  it("stand side by side on the items that all have", () => {
    expect(standings.rows).toEqual([]);
    expect(two.rows.map(({ variant }) => variant.recipe.id)).toEqual([base.recipe.id, pruned.recipe.id]);
    const column = COLUMNS.findIndex(({ metric }) => metric === "word_perplexity");
    expect(two.counts[column]).toBe(2);
    expect(two.rows.map(({ metrics }) => metrics[column]?.value)).toEqual([Math.exp(2.5), Math.exp(3)]);
    const rows = standingsTable(two).split("\n");
    expect(rows[0]).toContain("WikiText-2 word perplexity (2 pages)");
    expect(rows[2]).toMatch(/^\| `smollm2-135m` \| [\d.]+ \/ [\d.]+ \| 12\.2 ± [\d.]+ \| 100\.0 \| 0\.0 \|$/);
    expect(rows[3]).toMatch(/^\| `smollm2-135m-attn-drop-5` \| [\d.]+ \/ [\d.]+ \| 20\.1 ± [\d.]+ \| – \| – \|$/);
  });

  it("are points of the picture where they are known, with the frontier through the best", () => {
    const [perplexity, hellaswag] = PICTURES.map((picture) => picture);
    const svg = pictureOf(perplexity!, two);
    expect(svg.match(/<circle [^>]*r="5"[^>]*><title>/g)).toHaveLength(2);
    expect(svg).toContain("attn-drop-5: ");
    expect(svg).toContain("2 pages; bars");
    expect(() => pictureOf(hellaswag!, two)).not.toThrow();
  });

  it("show answers as they are, in one cell of a table each", () => {
    const prompts = ["Why?\nTell me.", "And?"];
    const text = variantsPage({ table: "| all |", standings: two, recorded: scores, prompts });
    expect(text).toContain("| all |");
    expect(text).toContain(
      "### 1\n\n> Why?<br>Tell me.\n\n| | |\n|---|---|\n| `smollm2-135m` | A \\| \\*list\\*:<br>- one &amp; \\<b\\> |",
    );
    expect(text).toContain("### 2\n\n> And?\n\nNo answer is recorded.");
  });
});
