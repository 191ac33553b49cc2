// Every variable is read through src/config.ts. That docs/configuration.md is what it says,
// readme.node.test.ts checks.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { unstable_readConfig } from "wrangler";
import { root } from "../../build/paths.ts";
import {
  commandVariable,
  commandVariables,
  gatewaySettings,
  gatewayVariables,
  readVariables,
  replicaVariables,
} from "../../src/config.ts";

const NAMES = new Set(
  [gatewayVariables, replicaVariables, commandVariables].flatMap(({ shape }) => Object.keys(shape)),
);

/** Read elsewhere, with the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {
  "scripts/launcher.ts npm_lifecycle_event": "npm sets it: it says how the process was started",
  "scripts/runtime.ts MINIFLARE_WORKERD_PATH": "miniflare's own, which is passed on to scripts/workerd.sh",
};

/** Variables that a source reads: of the process by any name, of a Worker's `env` by the name of a variable. */
function readsIn(source: string): string[] {
  const ofProcess = [...source.matchAll(/process\.env(?:\.(\w+)(?!\w|\s*(?:\?\?)?=[^=])|(\[))/g)];
  const ofWorker = [...source.matchAll(/(?<!process\.)\benv(?:\.|\?\.)([A-Z][A-Z\d_]*)\b/g)].filter(([, name]) =>
    NAMES.has(name!),
  );
  const destructured = [...source.matchAll(/\{([^{}]*)\} = (?:process\.)?env\b/g)];
  return [...ofProcess, ...ofWorker, ...destructured].map(([, name, bracket]) => name?.trim() ?? bracket ?? "");
}

async function sourcesIn(folder: string): Promise<string[]> {
  const files = await readdir(join(root, folder), { recursive: true });
  const ours = files.filter((file) => /\.(ts|mjs)$/.test(file) && !file.includes("node_modules"));
  return ours.map((file) => `${folder}/${file}`);
}

describe("variables", () => {
  it("are read nowhere but in src/config.ts", async () => {
    const rooms = ["src", "build", "formats", "evaluation", "compress", "cli", "scripts", "bench", "bin"];
    const files = (await Promise.all(rooms.map(sourcesIn))).flat().filter((file) => file !== "src/config.ts");
    expect(files.length).toBeGreaterThan(300);
    const reads = await Promise.all(
      files.map(async (file) => readsIn(await readFile(join(root, file), "utf8")).map((name) => `${file} ${name}`)),
    );
    expect(new Set(reads.flat())).toEqual(new Set(Object.keys(EXCEPTIONS)));
  });

  it.each([
    ["const port = process.env.PORT ?? 1;", "PORT"],
    ["if (process.env.PORT === wanted) stop();", "PORT"],
    ["const { HF_TOKEN } = process.env;", "HF_TOKEN"],
    ["return process.env[name];", "["],
    ["const share = this.env.SHADOW_SHARE;", "SHADOW_SHARE"],
  ])("would be found in `%s`", (source, name) => {
    expect(readsIn(source)).toContain(name);
  });

  it("may be set and handed on to child processes anywhere", () => {
    expect(readsIn('process.env.PORT = "1"; process.env.A ??= "b"; spawn(x, { env: { ...process.env } });')).toEqual(
      [],
    );
  });
});

it.each([
  ["wrangler.toml", gatewayVariables],
  ["wrangler.replica.toml", replicaVariables],
  ["wrangler.replica-onnx.toml", replicaVariables],
])("%s sets only variables that src/config.ts knows, to values that it allows", (file, schema) => {
  const { vars } = unstable_readConfig({ config: join(root, file) });
  expect(Object.keys(schema.shape)).toEqual(expect.arrayContaining(Object.keys(vars)));
  expect(() => readVariables(schema, vars)).not.toThrow();
});

it("takes the default where a variable is unset or blank", () => {
  expect(gatewaySettings({})).toEqual({ deadlineMs: 300_000, quantile: 0.95, keepMs: 2_592_000_000, apiKeys: "" });
  expect(gatewaySettings({ ROUTING_QUANTILE: " " }).quantile).toBe(0.95);
});

it("takes numbers of wrangler.toml as well as texts", () => {
  expect(gatewaySettings({ REQUEST_DEADLINE_MS: 5000 }).deadlineMs).toBe(5000);
  expect(() => gatewaySettings({ REQUEST_DEADLINE_MS: 0 })).toThrow(
    "REQUEST_DEADLINE_MS is 0; it must be a number above 0 and below 2147483648",
  );
});

it("reads a command's variable at the time of the call", () => {
  vi.stubEnv("FRANKEN_STATE", "elsewhere");
  expect(commandVariable("FRANKEN_STATE")).toBe("elsewhere");
  vi.unstubAllEnvs();
  expect(commandVariable("FRANKEN_STATE")).toBeUndefined();
});
