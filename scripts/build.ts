// Makes everything under dist/ from the sources, and only what is stale. `npm run build`, `npm start` and `npm test` come through here.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { root } from "../build/paths.ts";
import { refresh } from "../build/steps.ts";
import { bundleSteps, STEPS } from "./build-steps.ts";

/** Side by side, because compiler and bundler are processes of their own; bundles hold what the steps before them make. */
async function build(): Promise<void> {
  await Promise.all(STEPS.map((step) => refresh(step)));
  await Promise.all(bundleSteps().map((step) => refresh(step)));
}

/** The local key, an admin's, made once; wrangler and `npm start` both read it from here. One made before there were admins becomes one. */
async function localKey(): Promise<void> {
  const file = join(root, ".dev.vars");
  const made = existsSync(file)
    ? /^API_KEYS="(sk-local-[\w-]+)"\n$/.exec(await readFile(file, "utf8"))?.[1]
    : newLocalKey();
  if (made) await writeFile(file, `API_KEYS='[{"key": "${made}", "admin": true}]'\n`, { mode: 0o600 });
}

const newLocalKey = (): string => `sk-local-${randomBytes(18).toString("base64url")}`;

try {
  await localKey();
  await build();
} catch (error) {
  process.stderr.write(`\nbuild failed: ${(error as Error).message}\n`);
  process.exitCode = 1;
}
