// A lock between processes: a socket that its holder listens at. The system closes the socket when the
// holder ends, however it ends. Set-up imports it before anything is installed, so it needs nothing but Node.
import { createHash } from "node:crypto";
import { mkdir, rm, rmdir, stat } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A process that takes a lock needs milliseconds for it; one that was killed meanwhile leaves its folder. */
const TAKING_MS = 5_000;

/**
 * Takes the lock of a name, which lasts until it is released or this process ends.
 * @param {string} name
 * @returns {Promise<(() => Promise<void>) | undefined>} what releases it; undefined while another process holds it
 */
export async function takeLock(name) {
  const id = `franken-${createHash("sha256").update(name).digest("hex").slice(0, 16)}`;
  if (process.platform === "win32") return listen(`\\\\.\\pipe\\${id}`);
  const path = join(tmpdir(), `${id}.sock`);
  // The socket file of a killed process must go, and never one that another process has just made.
  const taking = `${path}.taking`;
  await enter(taking);
  try {
    if (await isListenedAt(path)) return undefined;
    await rm(path, { force: true });
    return await listen(path);
  } finally {
    await rmdir(taking);
  }
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function enter(folder) {
  for (;;) {
    const made = await mkdir(folder).then(
      () => true,
      (error) => {
        if (error.code !== "EEXIST") throw error;
        return false;
      },
    );
    if (made) return;
    const since = await stat(folder).then(
      ({ mtimeMs }) => mtimeMs,
      () => Date.now(),
    );
    if (Date.now() - since > TAKING_MS) await rmdir(folder).catch(() => {});
    else await sleep(10);
  }
}

const listen = (path) =>
  new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error) => (error.code === "EADDRINUSE" ? resolve(undefined) : reject(error)));
    server.listen(path, () => resolve(() => new Promise((closed) => server.close(() => closed()))));
    server.unref();
  });

const isListenedAt = (path) =>
  new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    // A holder that is busy may have no room for the connection: only these two say that nobody listens.
    socket.once("error", ({ code }) => resolve(code !== "ENOENT" && code !== "ECONNREFUSED"));
  });
