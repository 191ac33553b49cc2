// Imports go by the order of the rooms and through their doors, and the check of it finds what does
// not.
import { describe, expect, it } from "vitest";
import { violations } from "../../scripts/rooms/check.ts";
import { projectSources, rules } from "../../scripts/rooms.ts";

const sources = await projectSources();
/** What the check says of a file. */
const planted = (file: string, text: string): string[] =>
  violations(new Map([[file, text]]), { ...rules, exceptions: {} });

describe("the order of rooms", () => {
  it("holds for every import of the project", () => {
    expect(sources.size).toBeGreaterThan(700);
    expect(violations(sources, rules)).toEqual([]);
  });

  it.each([
    ["src/engine/planted.ts", 'import { x } from "../scheduler/index.ts";', "src/engine stands below src/scheduler"],
    ["src/scheduler/planted.ts", 'import type { X } from "../replica/index.ts";', "src/scheduler stands below"],
    ["src/storage/planted.ts", 'export * from "../routes/index.ts";', "src/storage stands below src/routes"],
    ["src/routing/planted.ts", 'await import("../openai/index.ts");', "src/routing stands below src/openai"],
    ["src/access/planted.ts", 'type X = import("../app.ts").X;', "src/access stands below src/app.ts"],
    ["compress/planted.ts", 'import "../cli/gateway.ts";', "compress stands below cli"],
    ["formats/planted.ts", 'import "../bench/serve.ts";', "formats stands below bench"],
    ["evaluation/planted.ts", 'import "../scripts/data.ts";', "evaluation stands below scripts"],
    ["cli/planted.ts", 'import "../test/e2e/likeliest.ts";', "cli stands below test"],
    ["src/routes/planted.ts", 'import "../routing/sketch.ts";', "only src/routing/index.ts is the door"],
    ["src/app.ts", 'import "./storage/queue-object.ts";', "only src/storage/index.ts is the door"],
    ["src/elsewhere/planted.ts", "", "is in no room"],
    ["src/engine/planted.ts", 'import "../elsewhere/index.ts";', "is in no room"],
  ])("refuses in %s: %s", (file, text, why) => {
    expect(planted(file, text)).toEqual([expect.stringContaining(why)]);
  });

  it("lets an entry load a Durable Object's class, and a room its own files", () => {
    expect(planted("src/gateway.ts", 'import "./storage/queue-object.ts";')).toEqual([]);
    expect(planted("src/routing/planted.ts", 'import "./sketch.ts"; import "../storage/index.ts";')).toEqual([]);
  });

  it("names an exception that nothing needs any more", () => {
    const exceptions = { ...rules.exceptions, "src/app.ts src/old.ts": "it was once so" };
    expect(violations(sources, { ...rules, exceptions })).toEqual([
      'the exception "src/app.ts src/old.ts" is not needed any more',
    ]);
  });
});
