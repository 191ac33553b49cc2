// Nothing that is tested is forgotten, and nothing runs twice.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import { TIERS } from "../../scripts/tiers.ts";

it(".ci/run runs each project of vitest's configuration once", async () => {
  const ci = (await readFile(join(root, ".ci/run"), "utf8")).split("\n").filter((line) => line.startsWith("npm "));
  expect(ci).toEqual(["npm test", "npm run test:rest", "npm run test:interop"]);
  const { scripts } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  expect(scripts.test).toBe("node --import tsx scripts/test.ts quick");
  const others = ["test:rest", "test:interop"].flatMap((name) => [...scripts[name].matchAll(/--project (\S+)/g)]);
  const run = [...TIERS.quick.flatMap(({ projects }) => projects), ...others.map(([, name]) => name)];
  const config = await readFile(join(root, "vitest.config.ts"), "utf8");
  const projects = [...config.matchAll(/inNode\(\s*"([\w-]+)"|^ +name: "(\w+)",$/gm)].map(([, a, b]) => a ?? b);
  expect(projects).toContain("workerd");
  expect(run.sort()).toEqual(projects.sort());
});
