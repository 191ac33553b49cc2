import { expect, test } from "vitest";
import { ReplicaGoneError, readFrames } from "../../src/replica/client.ts";
import type { Frame, GenerateRequest, Replica } from "../../src/replica/protocol.ts";
import { end, type Script, standIn, tokens, wait } from "../routes/gateway.ts";

const request: GenerateRequest = {
  id: "gen_1",
  requestId: "req_1",
  variant: "smollm2-135m",
  promptIds: [1],
  maxTokens: 8,
  temperature: 1,
  topP: 1,
  seed: 1,
  deadlineMs: 1000,
};

const collect = async (replica: Replica, signal = new AbortController().signal): Promise<Frame[]> => {
  const frames: Frame[] = [];
  for await (const frame of readFrames(replica, request, signal)) {
    if (frame.type !== "status") frames.push(frame);
  }
  return frames;
};

const streaming = (chunks: readonly (string | Uint8Array)[]): Replica => ({
  ...standIn([]),
  async generate() {
    const encoder = new TextEncoder();
    return new ReadableStream({
      start(controller) {
        for (const chunk of chunks) controller.enqueue(typeof chunk === "string" ? encoder.encode(chunk) : chunk);
        controller.close();
      },
    });
  },
});

test("gives frames in order, up to the last", async () => {
  const script: Script = [wait, ...tokens([5, 6]), end];
  expect(await collect(standIn([...script, wait]))).toEqual(script);
});

test("gives the same frames however the bytes are cut", async () => {
  const message = "naïve 👍";
  const frames: Frame[] = [...tokens([1, 2, 3]), { type: "error", code: "internal", message }];
  const bytes = new TextEncoder().encode(frames.map((frame) => `${JSON.stringify(frame)}\n`).join(""));
  for (let size = 1; size < 60; size++) {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
    expect(await collect(streaming(chunks))).toEqual(frames);
  }
});

test.each([
  ["ends early", ['{"type":"wait"}\n']],
  ["sends what is not JSON", ["wait\n"]],
  ["sends an unknown frame", ['{"type":"dance"}\n']],
  ["sends a line without end", ["x".repeat(100_000)]],
])("throws ReplicaGoneError when the replica %s", async (_name, chunks) => {
  await expect(collect(streaming(chunks))).rejects.toThrow(ReplicaGoneError);
});

test("throws ReplicaGoneError when the replica cannot be called", async () => {
  const replica: Replica = { ...streaming([]), generate: () => Promise.reject(new Error("no such object")) };
  await expect(collect(replica)).rejects.toThrow(ReplicaGoneError);
});

test("cancels the replica when its reader leaves the loop", async () => {
  const replica = standIn([...tokens([1, 2]), "never"]);
  for await (const frame of readFrames(replica, request, new AbortController().signal)) {
    if (frame.type === "token") break;
  }
  expect(replica.cancelled).toBe(1);
});

test("cancels the replica and throws the reason when aborted while a frame is awaited", async () => {
  const replica = standIn([wait, "never"]);
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 30);
  await expect(collect(replica, controller.signal)).rejects.toThrow("enough");
  expect(replica.cancelled).toBe(1);
});

test("cancels a replica that answers only after the abort", async () => {
  const inner = standIn(["never"]);
  const late: Replica = {
    ...inner,
    async generate(generateRequest) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      return inner.generate(generateRequest);
    },
  };
  const controller = new AbortController();
  setTimeout(() => controller.abort(new Error("enough")), 10);
  await expect(collect(late, controller.signal)).rejects.toThrow("enough");
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(inner.cancelled).toBe(1);
});
