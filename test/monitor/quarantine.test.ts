import { afterEach, describe, expect, it } from "vitest";
import { ready } from "../routes/gateway.ts";
import { env } from "../support/database.ts";
import { choosing, recordedHellaswag, setUp, VARIANTS, waitUntil } from "./setup.ts";

afterEach(async () => {
  for (const table of ["items", "scores", "quarantine"]) await env.DB.exec(`DELETE FROM ${table}`);
});

const [base, pruned] = VARIANTS;
const FULL = { itemsPerSlice: 20 };
type Options = NonNullable<Parameters<typeof setUp>[0]>;

/** The pruned variant chooses otherwise than recorded on some of its items; the base never does. */
const broken = (options: Options = {}, isBroken = (_: number): boolean => true) => {
  let place = 0;
  return setUp({
    recorded: [recordedHellaswag(base), recordedHellaswag(pruned)],
    settings: FULL,
    measure: choosing(({ variant }) => (variant === pruned && isBroken(place++) ? 2 : 0)),
    ...options,
  });
};

async function quarantined({ restart }: Pick<Awaited<ReturnType<typeof setUp>>, "restart">): Promise<string[]> {
  return [...(await restart().loadQuarantines(waitUntil)).keys()];
}

describe("a variant that serves other results than the recorded ones", () => {
  it("is quarantined, alone, with the reason in the log, and stays so in an isolate that starts later", async () => {
    const monitor = await broken();
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await quarantined(monitor)).toEqual([pruned]);
    const events = monitor.logged.filter(({ event }) => event === "quarantined");
    expect(events).toMatchObject([
      { variant: pruned, task: "hellaswag", discordant: 20, compared: 20, reason: expect.stringContaining("20 of 20") },
    ]);
    expect(events[0]?.evidence).toBeGreaterThanOrEqual(events[0]?.threshold as number);
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await monitor.rows("SELECT * FROM quarantine")).toHaveLength(1);
  });

  it("is quarantined after a few items of a slice already", async () => {
    const monitor = await broken({ settings: { itemsPerSlice: 3 } });
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await quarantined(monitor)).toEqual([pruned]);
  });

  it("is quarantined when it gives no results any more", async () => {
    const monitor = await broken({
      measure: (request) =>
        request.variant === pruned
          ? { state: "failed", engine: "wasm", digest: "d1", message: "logits are not finite" }
          : choosing(() => 0)(request),
    });
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await quarantined(monitor)).toEqual([pruned]);
  });

  it("is left alone over a single item, and over a few where another engine made the record", async () => {
    const single = await broken({}, (place) => place === 7);
    for (let i = 0; i < 4; i++) await single.slice();
    expect(await quarantined(single)).toEqual([]);
    expect(
      await single.rows(
        "SELECT discordant, compared FROM scores WHERE variant = 'smollm2-135m-attn-drop-5' AND task = 'hellaswag'",
      ),
    ).toEqual([{ discordant: 1, compared: 20 }]);
    await env.DB.exec("DELETE FROM items; DELETE FROM scores");
    const few = (place: number) => [3, 5, 9].includes(place);
    const recorded = [recordedHellaswag(pruned, { engine: "another" })];
    const other = await broken({ recorded }, few);
    for (let i = 0; i < 4; i++) await other.slice();
    expect(await quarantined(other)).toEqual([]);
    await env.DB.exec("DELETE FROM items; DELETE FROM scores");
    const same = await broken({}, few);
    for (let i = 0; i < 4; i++) await same.slice();
    expect(await quarantined(same)).toEqual([pruned]);
  });

  it.each([
    ["of other data", { data: "0".repeat(64) }],
    ["of what the variant once was", { digest: "0".repeat(64) }],
  ])("is not compared with a record %s", async (_, change) => {
    const monitor = await broken({ recorded: [recordedHellaswag(pruned, change)] });
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await monitor.rows("SELECT sum(compared) AS compared FROM scores")).toEqual([{ compared: 0 }]);
    expect(await quarantined(monitor)).toEqual([]);
  });
});

describe("a quarantine", () => {
  it("ends with another digest of the variant or of the engine", async () => {
    let digest = "d1";
    const monitor = await broken({ status: () => ({ ...ready, digest }) });
    for (let i = 0; i < 4; i++) await monitor.slice();
    digest = "d2";
    expect(await quarantined(monitor)).toEqual([]);
    digest = "d1";
    expect(await quarantined(monitor)).toEqual([pruned]);
    await env.DB.exec("UPDATE quarantine SET variant_digest = 'before'");
    expect(await quarantined(monitor)).toEqual([]);
  });

  it("holds while the replica does not say which engine it runs", async () => {
    let state: "ready" | "loading" = "ready";
    const monitor = await broken({ status: () => ({ ...ready, state, digest: state === "ready" ? "d1" : "" }) });
    for (let i = 0; i < 4; i++) await monitor.slice();
    state = "loading";
    expect(await quarantined(monitor)).toEqual([pruned]);
  });

  it("can be lifted; then only what is measured later speaks against the variant", async () => {
    const monitor = await broken();
    for (let i = 0; i < 4; i++) await monitor.slice();
    await env.DB.exec(`UPDATE quarantine SET lifted_at = ${1_800_000_000_000 + 3_600_000} WHERE lifted_at IS NULL`);
    expect(await quarantined(monitor)).toEqual([]);
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await quarantined(monitor)).toEqual([]);
    monitor.pass(3_600_000);
    for (let i = 0; i < 4; i++) await monitor.slice();
    expect(await quarantined(monitor)).toEqual([pruned]);
  });

  it("is what was last known while D1 is away, and a gateway without any serves all", async () => {
    const monitor = await broken();
    for (let i = 0; i < 4; i++) await monitor.slice();
    let away = false;
    const db = new Proxy(monitor.database, {
      get(target, name) {
        if (away) throw new Error("D1_ERROR: no connection");
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const other = await setUp({ db });
    expect([...(await other.scores.loadQuarantines(waitUntil)).keys()]).toEqual([pruned]);
    away = true;
    for (let i = 0; i < 3; i++) {
      other.pass(60_000);
      expect([...(await other.scores.loadQuarantines(waitUntil)).keys()]).toEqual([pruned]);
    }
    const fresh = other.restart();
    expect(await fresh.loadQuarantines(waitUntil)).toEqual(new Map());
    expect(await fresh.served(waitUntil)).toBeUndefined();
    const away_ = other.logged.filter(({ event }) => event === "database_away");
    expect(away_[0]).toMatchObject({ message: "D1_ERROR: no connection", hint: expect.stringContaining("migrations") });
    // Once for each thing that is read, not once for each time.
    expect(away_.length).toBe(3);
  });
});
