// Against a server in this process that answers as a hub does: a list of files with digests, and files by range.
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { downloadModel } from "../../compress/hub.ts";

const WEIGHTS = Buffer.alloc(300_000, "weights");
const CONFIG = Buffer.from('{"model_type": "llama"}');
const digest = (name: string, ...parts: (Buffer | string)[]): string => {
  const hash = createHash(name);
  for (const part of parts) hash.update(part);
  return hash.digest("hex");
};

let server: Server;
let folder: string;
let files: Map<string, Buffer>;
let requests: string[];
/** Bytes after which a download of weights is cut off. */
let cutAt: number | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-hub-"));
  files = new Map([
    ["config.json", CONFIG],
    ["model.safetensors", WEIGHTS],
    ["README.md", Buffer.from("no")],
  ]);
  requests = [];
  cutAt = undefined;
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? "", "http://hub.invalid");
    requests.push(`${pathname} ${request.headers.range ?? ""}`);
    if (pathname === "/api/models/org/tiny/tree/main") {
      response.setHeader("content-type", "application/json");
      const list = [...files].map(([path, bytes]) => {
        const git = digest("sha1", `blob ${bytes.length}\0`, bytes);
        const lfs = { oid: digest("sha256", bytes), size: bytes.length, pointerSize: 130 };
        const entry = { type: "file", path, size: bytes.length, oid: git };
        return path.endsWith(".safetensors") ? { ...entry, lfs } : entry;
      });
      return response.end(JSON.stringify([...list, { type: "directory", path: "onnx", size: 0, oid: "0" }]));
    }
    const bytes = files.get(pathname.replace("/org/tiny/resolve/main/", ""));
    if (!bytes) return response.writeHead(404, { "x-error-code": "EntryNotFound" }).end();
    const [, from = "0", to] = /bytes=(\d+)-(\d*)/.exec(request.headers.range ?? "") ?? [];
    const end = Math.min(Number(to || bytes.length - 1), bytes.length - 1);
    const slice = bytes.subarray(Number(from), end + 1);
    response.writeHead(206, {
      etag: '"x"',
      "content-range": `bytes ${from}-${end}/${bytes.length}`,
      "content-length": slice.length,
    });
    if (cutAt === undefined || slice.length <= cutAt) return response.end(slice);
    response.write(slice.subarray(0, cutAt), () => setTimeout(() => response.destroy(), 50));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});

const download = () =>
  downloadModel("org/tiny", { folder, hubUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });

it("fetches what a checkpoint is read from, and nothing when it is there", async () => {
  const target = await download();
  expect((await readdir(target)).sort()).toEqual([".complete.json", "config.json", "model.safetensors"]);
  expect((await readFile(join(target, "model.safetensors"))).equals(WEIGHTS)).toBe(true);
  requests = [];
  expect(await download()).toBe(target);
  expect(requests).toEqual([]);
});

it("goes on where it was cut off", async () => {
  cutAt = 100_000;
  await expect(download()).rejects.toThrow("org/tiny/model.safetensors cannot be downloaded");
  expect(await readdir(join(folder, "org/tiny"))).toEqual(["config.json", "model.safetensors.part"]);
  cutAt = undefined;
  requests = [];
  const target = await download();
  expect((await readFile(join(target, "model.safetensors"))).equals(WEIGHTS)).toBe(true);
  expect(requests.some((request) => /safetensors bytes=[1-9]\d*-/.test(request))).toBe(true);
});

it("removes a file that does not have its digest", async () => {
  const get = files.get.bind(files);
  files.get = (name) => (name === "model.safetensors" ? Buffer.alloc(WEIGHTS.length) : get(name));
  await expect(download()).rejects.toThrow("org/tiny/model.safetensors does not have the digest that the hub names");
  expect(await readdir(join(folder, "org/tiny"))).toEqual(["config.json"]);
});

it("names a model without weights, or with several", async () => {
  files.delete("model.safetensors");
  await expect(download()).rejects.toThrow("org/tiny has no safetensors and no GGUF file");
  files.set("a.gguf", CONFIG).set("b.gguf", CONFIG);
  await expect(download()).rejects.toThrow("org/tiny has several GGUF files (a.gguf, b.gguf)");
});

it("fetches all shards of a GGUF file that was split", async () => {
  files.delete("model.safetensors");
  const shards = ["x-00001-of-00002.gguf", "x-00002-of-00002.gguf"];
  for (const shard of shards) files.set(shard, CONFIG);
  expect((await readdir(await download())).sort()).toEqual([".complete.json", ...shards]);
});

it("fetches an adapter with its configuration", async () => {
  files.clear();
  files.set("adapter_config.json", CONFIG).set("adapter_model.safetensors", WEIGHTS).set("README.md", CONFIG);
  const names = [".complete.json", "adapter_config.json", "adapter_model.safetensors"];
  expect((await readdir(await download())).sort()).toEqual(names);
});
