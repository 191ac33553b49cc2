import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import { VERSION } from "../../src/version.ts";

const read = (file: string): string => readFileSync(join(root, file), "utf8");

it("package.json and package-lock.json name the same version", () => {
  const { version, packages } = JSON.parse(read("package-lock.json"));
  expect(JSON.parse(read("package.json")).version).toBe(VERSION);
  expect([version, packages[""].version]).toEqual([VERSION, VERSION]);
});

it("CHANGELOG.md has a section for the version of package.json", () => {
  expect(read("CHANGELOG.md")).toContain(`\n## [${VERSION}] - `);
});

it("`npx franken --version` prints the version of package.json", () => {
  const printed = execFileSync(process.execPath, ["bin/franken.mjs", "--version"], { cwd: root, encoding: "utf8" });
  expect(printed.trim()).toBe(VERSION);
});
