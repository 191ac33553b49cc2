import { describe, expect, it, vi } from "vitest";
import { createOutbox } from "../../src/replica/outbox.ts";

const text = (bytes: Uint8Array | undefined) => new TextDecoder().decode(bytes);

describe("createOutbox", () => {
  it("writes one JSON document a line and closes after the last", async () => {
    const outbox = createOutbox(() => {});
    outbox.send({ type: "token", id: 5 });
    outbox.end({ type: "end", reason: "stop" });
    outbox.send({ type: "token", id: 6 });
    expect(await new Response(outbox.readable).text()).toBe(
      '{"type":"token","id":5}\n{"type":"end","reason":"stop"}\n',
    );
  });

  it("says wait at least every 250 ms while nothing else is written", async () => {
    const outbox = createOutbox(() => {});
    const reader = outbox.readable.getReader();
    for (let i = 0; i < 3; i++) {
      const asked = Date.now();
      expect(text((await reader.read()).value)).toBe('{"type":"wait"}\n');
      expect(Date.now() - asked).toBeLessThan(450);
    }
    await reader.cancel();
  });

  it("asks for a pause when four frames are unread, until they are read", async () => {
    const outbox = createOutbox(() => {});
    const frame = { type: "token", id: 1 } as const;
    expect([outbox.send(frame), outbox.send(frame), outbox.send(frame)]).toEqual([undefined, undefined, undefined]);
    const pending = outbox.send(frame);
    expect(pending).toBeInstanceOf(Promise);
    let caughtUp = false;
    pending?.then(() => {
      caughtUp = true;
    });
    await scheduler.wait(30);
    expect(caughtUp).toBe(false);
    const reader = outbox.readable.getReader();
    for (let i = 0; i < 4; i++) await reader.read();
    await vi.waitFor(() => expect(caughtUp).toBe(true));
    await reader.cancel();
  });

  it("tells once that the reader has gone, while idle within 500 ms", async () => {
    const onGone = vi.fn();
    const outbox = createOutbox(onGone);
    await outbox.readable.cancel();
    await vi.waitFor(() => expect(onGone).toHaveBeenCalledOnce(), { timeout: 500 });
    outbox.send({ type: "token", id: 1 });
    await scheduler.wait(250);
    expect(onGone).toHaveBeenCalledOnce();
  });
});
