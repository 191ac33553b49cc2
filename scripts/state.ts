// Where the local runtime keeps its databases. They are one process's at a time: two at once find them locked now and then, and refuse requests.
import { createHash } from "node:crypto";
import { rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { root } from "./build/paths.ts";

/**
 * Holds the folder of the state until this process ends, however it does: what listens is gone with it.
 * @returns the folder: FRANKEN_STATE, else one within the project
 * @throws Error that says what to do when another process holds it
 */
export async function claimState(): Promise<string> {
  const folder = resolve(root, process.env.FRANKEN_STATE || ".wrangler/state/v3");
  const name = `franken-${createHash("sha256").update(folder).digest("hex").slice(0, 16)}`;
  const path = process.platform === "win32" ? `\\\\.\\pipe\\${name}` : join(tmpdir(), `${name}.sock`);
  if (await isListenedOn(path)) {
    throw new Error(
      `another npm start keeps its state in ${folder}: stop it, or give this one a folder of its own with FRANKEN_STATE=DIR npm start`,
    );
  }
  // What a process that was killed has left there.
  await rm(path, { force: true });
  await new Promise<void>((done, fail) => {
    createServer((socket) => socket.destroy())
      .once("error", fail)
      .listen(path, done)
      .unref();
  });
  return folder;
}

const isListenedOn = (path: string): Promise<boolean> =>
  new Promise((done) => {
    const socket = connect(path, () => {
      socket.destroy();
      done(true);
    });
    socket.once("error", () => done(false));
  });
