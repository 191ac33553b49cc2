// What a Worker's isolate holds, as workerd's inspector tells it: garbage that V8 has not collected yet is left out.
import WebSocket from "ws";

const MIB = 1024 * 1024;
/** The inspector ends a connection now and then, most often one that is opened right after another. */
const MOST_TRIES = 5;

/**
 * JavaScript heap and array buffers of an isolate, in MiB, without WebAssembly memory. A heap snapshot begins with a garbage collection,
 * which `HeapProfiler.collectGarbage` does not do in workerd; the least of three readings, because garbage comes up between the two calls.
 * @param inspector host and port of the runtime's inspector
 * @throws Error when the inspector does not answer, or keeps closing the connection
 */
export async function heldMiB(inspector: string, worker: string): Promise<number> {
  for (let tries = 1; ; tries++) {
    try {
      return await leastOfThree(inspector, worker);
    } catch (error) {
      if (tries === MOST_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

async function leastOfThree(inspector: string, worker: string): Promise<number> {
  const socket = new WebSocket(`ws://${inspector}/core:user:${worker}`);
  const closed = new Promise<never>((_, reject) => {
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`the inspector closed its connection to ${worker}`)));
  });
  closed.catch(() => {});
  let lastId = 0;
  const call = (method: string): Promise<{ usedSize: number; backingStorageSize: number }> => {
    const id = ++lastId;
    const answer = new Promise<{ usedSize: number; backingStorageSize: number }>((resolve) => {
      socket.on("message", (data) => {
        const text = String(data);
        // The snapshot itself comes in long messages, which need no parsing.
        if (text.startsWith(`{"id":${id},`)) resolve(JSON.parse(text).result);
      });
    });
    socket.send(JSON.stringify({ id, method }));
    return Promise.race([answer, closed]);
  };
  await Promise.race([new Promise((resolve) => socket.once("open", resolve)), closed]);
  const readings: number[] = [];
  while (readings.length < 3) {
    await call("HeapProfiler.takeHeapSnapshot");
    const { usedSize, backingStorageSize } = await call("Runtime.getHeapUsage");
    readings.push((usedSize + backingStorageSize) / MIB);
  }
  const ended = new Promise((resolve) => socket.once("close", resolve));
  socket.close();
  await ended;
  return Math.min(...readings);
}
