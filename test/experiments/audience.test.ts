import { describe, expect, it } from "vitest";
import { doOverlap, isInvited, unitName } from "../../src/experiments/audience.ts";

const visitor = (headers: Record<string, string> = {}, user?: string) => ({
  keyId: "key-1",
  headers: new Headers(headers),
  user,
});

describe("audience", () => {
  it("invites by key, by header and by a header's values", () => {
    expect(isInvited({ share: 1 }, visitor())).toBe(true);
    expect(isInvited({ keys: ["key-1"], share: 1 }, visitor())).toBe(true);
    expect(isInvited({ keys: ["key-2"], share: 1 }, visitor())).toBe(false);
    expect(isInvited({ header: { name: "X-Beta" }, share: 1 }, visitor({ "x-beta": "" }))).toBe(true);
    expect(isInvited({ header: { name: "X-Beta", values: ["yes"] }, share: 1 }, visitor({ "x-beta": "no" }))).toBe(
      false,
    );
    expect(isInvited({ header: { name: "X-Beta" }, share: 1 }, visitor())).toBe(false);
  });

  it("overlaps with another where one request could belong to both", () => {
    const all = { share: 0.1 };
    const one = { keys: ["a", "b"], share: 1 };
    expect(doOverlap(all, one)).toBe(true);
    expect(doOverlap(one, { keys: ["b"], share: 1 })).toBe(true);
    expect(doOverlap(one, { keys: ["c"], share: 1 })).toBe(false);
    const beta = { header: { name: "X-Beta", values: ["1"] }, share: 1 };
    expect(doOverlap(beta, { header: { name: "x-beta", values: ["2"] }, share: 1 })).toBe(false);
    expect(doOverlap(beta, { header: { name: "x-beta" }, share: 1 })).toBe(true);
    expect(doOverlap(beta, { header: { name: "x-other", values: ["2"] }, share: 1 })).toBe(true);
  });

  it("names a unit by user, key or header, within its key, and not at all where the request does not say", () => {
    expect(unitName("key", visitor())).toBe("key-1");
    expect(unitName("user", visitor({}, "ann"))).toBe('["key-1","ann"]');
    expect(unitName("user", visitor())).toBeUndefined();
    expect(unitName({ header: "x-session" }, visitor({ "X-Session": "s" }))).toBe('["key-1","s"]');
    expect(unitName({ header: "x-session" }, visitor({ "X-Session": "" }))).toBeUndefined();
  });
});
