// Locks between processes: one holds, until it releases or dies.
import { spawn } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdir, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, it } from "vitest";
import { root } from "../../build/paths.ts";
import { takeLock } from "../../scripts/lock.mjs";

const module = pathToFileURL(join(root, "scripts/lock.mjs")).href;

/** A process that takes the lock, says whether it has it, and stays. */
async function contender(name: string) {
  const code = `import { takeLock } from ${JSON.stringify(module)};
    console.log(Boolean(await takeLock(${JSON.stringify(name)})));
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return {
    holds: String(line).trim() === "true",
    async kill() {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  };
}

it("is one process's of eight that come at once, and is free when that one is killed", async () => {
  const name = randomUUID();
  for (let round = 0; round < 2; round++) {
    const all = await Promise.all(Array.from({ length: 8 }, () => contender(name)));
    expect(all.filter(({ holds }) => holds)).toHaveLength(1);
    // Their sockets stay behind, as a killed process leaves them.
    await Promise.all(all.map(({ kill }) => kill()));
  }
});

it("is taken again after its release, and other names are others' locks", async () => {
  const name = randomUUID();
  const release = await takeLock(name);
  expect(release).toBeDefined();
  expect(await takeLock(name)).toBeUndefined();
  expect(await takeLock(randomUUID())).toBeDefined();
  await release?.();
  expect(await takeLock(name)).toBeDefined();
});

it("is taken although a process died while it took it", async () => {
  const name = randomUUID();
  const id = createHash("sha256").update(name).digest("hex").slice(0, 16);
  const left = join(tmpdir(), `franken-${id}.sock.taking`);
  await mkdir(left);
  const long = new Date(Date.now() - 60_000);
  await utimes(left, long, long);
  expect(await takeLock(name)).toBeDefined();
});
