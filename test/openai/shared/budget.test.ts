import { describe, expect, test } from "vitest";
import { AccessError, createAuthorizationCheck } from "../../../src/access/index.ts";
import { ApiError, parseChatRequest, readBudget, type WireBudget } from "../../../src/openai/index.ts";
import { USER } from "../../routes/gateway.ts";

/** The budget of a request with these headers and this body's field, as the route reads it. */
async function read(headers: Record<string, string>, budget?: unknown, defaults?: WireBudget) {
  const { ask } = await parseChatRequest({
    model: "auto",
    messages: USER,
    ...(budget === undefined ? {} : { budget }),
  });
  return readBudget((name) => headers[name], ask.budget, defaults).budget;
}

const failure = async (
  run: () => unknown,
): Promise<Pick<ApiError, "code" | "message"> & { readonly param?: string | undefined }> => {
  try {
    await run();
  } catch (error) {
    if (error instanceof ApiError || error instanceof AccessError) return error;
    throw error;
  }
  throw new Error("it did not fail");
};

const NOTHING = {
  latencyMs: undefined,
  ttftMs: undefined,
  tpotMs: undefined,
  minHellaswag: undefined,
  maxPerplexity: undefined,
  prefer: "quality",
  quantile: undefined,
  strict: false,
  downshift: false,
  allowResearch: false,
};

describe("a budget", () => {
  test("may come in headers, in the body, or not at all", async () => {
    expect(await read({})).toEqual(NOTHING);
    const all = {
      latencyMs: 2000,
      ttftMs: 300.5,
      tpotMs: 20,
      minHellaswag: 35,
      maxPerplexity: 60,
      prefer: "speed",
      quantile: 0.9,
      strict: true,
      downshift: true,
      allowResearch: true,
    };
    expect(
      await read({
        "x-latency-budget-ms": "2000",
        "x-ttft-budget-ms": "300.5",
        "x-tpot-budget-ms": " 20 ",
        "x-min-hellaswag": "35",
        "x-max-perplexity": "60",
        "x-prefer": "speed",
        "x-budget-quantile": "0.9",
        "x-budget-strict": "true",
        "x-budget-downshift": "true",
        "x-allow-research": "true",
      }),
    ).toEqual(all);
    const body = {
      latency_ms: 2000,
      ttft_ms: 300.5,
      tpot_ms: 20,
      min_hellaswag: 35,
      max_perplexity: 60,
      prefer: "speed",
      quantile: 0.9,
    };
    expect(await read({}, { ...body, strict: true, downshift: true, allow_research: true })).toEqual(all);
    const mixed = { "x-latency-budget-ms": "2000", "x-budget-strict": "true", "x-allow-research": "true" };
    expect(await read(mixed, { ...body, downshift: true })).toEqual(all);
    expect(await read({}, null)).toEqual(NOTHING);
  });

  test("takes from the key what the request does not say, and null takes it away", async () => {
    const defaults = { latency_ms: 900, prefer: "cost", strict: true } as const;
    expect(await read({}, undefined, defaults)).toEqual({ ...NOTHING, latencyMs: 900, prefer: "cost", strict: true });
    expect(await read({ "x-latency-budget-ms": "50" }, { prefer: "quality" }, defaults)).toMatchObject({
      latencyMs: 50,
      prefer: "quality",
    });
    expect(await read({}, { latency_ms: null, strict: false }, defaults)).toEqual({
      ...NOTHING,
      prefer: "cost",
    });
    expect((await read({}, undefined, { allow_research: true })).allowResearch).toBe(true);
    expect((await read({}, { allow_research: false }, { allow_research: true })).allowResearch).toBe(false);
    expect(await read({}, { ttft_ms: 2000 }, defaults)).toMatchObject({ latencyMs: 900, ttftMs: 2000 });
  });

  test.each([
    ["x-latency-budget-ms", "0"],
    ["x-latency-budget-ms", "-5"],
    ["x-latency-budget-ms", "NaN"],
    ["x-latency-budget-ms", "Infinity"],
    ["x-latency-budget-ms", "1e3"],
    ["x-latency-budget-ms", "0x10"],
    ["x-latency-budget-ms", "2s"],
    ["x-latency-budget-ms", ""],
    ["x-latency-budget-ms", "99999999999"],
    ["x-ttft-budget-ms", "soon"],
    ["x-tpot-budget-ms", "true"],
    ["x-min-hellaswag", "101"],
    ["x-min-hellaswag", "-1"],
    ["x-max-perplexity", "0.5"],
    ["x-budget-quantile", "1"],
    ["x-budget-quantile", "0.5"],
    ["x-prefer", "best"],
    ["x-prefer", "1"],
    ["x-budget-strict", "yes"],
    ["x-budget-strict", "1"],
  ])("in the header %s may not be %j, and the error names the header", async (name, value) => {
    const error = await failure(() => read({ [name]: value }));
    expect(error).toMatchObject({ code: "invalid_value", param: name });
    expect(error.message).toContain(`'${name}'`);
  });

  test.each([
    [{ latency_ms: 0 }, "budget.latency_ms"],
    [{ latency_ms: -1 }, "budget.latency_ms"],
    [{ latency_ms: "2000" }, "budget.latency_ms"],
    [{ latency_ms: 1e300 }, "budget.latency_ms"],
    [{ ttft_ms: [] }, "budget.ttft_ms"],
    [{ tpot_ms: {} }, "budget.tpot_ms"],
    [{ min_hellaswag: 100.1 }, "budget.min_hellaswag"],
    [{ max_perplexity: 0 }, "budget.max_perplexity"],
    [{ prefer: "best" }, "budget.prefer"],
    [{ quantile: 95 }, "budget.quantile"],
    [{ strict: "true" }, "budget.strict"],
    [{ latency: 5 }, "budget"],
    ["fast", "budget"],
    [[], "budget"],
  ])("in the body may not be %j, and the error names the field", async (budget, param) => {
    const error = await failure(() => read({}, budget));
    expect(["invalid_value", "invalid_type"]).toContain(error.code);
    expect(error.param).toBe(param);
  });

  test("with a field that nobody knows says which", async () => {
    expect((await failure(() => read({}, { latency: 5 }))).message).toContain("latency");
  });

  test.each([
    [{}, { latency_ms: 100, ttft_ms: 200 }, "budget.ttft_ms"],
    [{}, { latency_ms: 100, tpot_ms: 101 }, "budget.tpot_ms"],
    [{ "x-ttft-budget-ms": "200" }, { latency_ms: 100 }, "x-ttft-budget-ms"],
    [{ "x-latency-budget-ms": "100" }, { latency_ms: 200 }, "x-latency-budget-ms"],
    [{ "x-prefer": "speed" }, { prefer: "cost" }, "x-prefer"],
    [{}, { strict: true }, "budget.strict"],
    [{ "x-budget-strict": "true" }, { prefer: "speed" }, "x-budget-strict"],
  ] as [
    Record<string, string>,
    object,
    string,
  ][])("that contradicts itself is refused: %j %j", async (headers, body, param) => {
    expect(await failure(() => read(headers, body))).toMatchObject({ code: "invalid_value", param });
  });

  test("said twice alike is no contradiction, nor are equal limits", async () => {
    expect((await read({ "x-latency-budget-ms": "100" }, { latency_ms: 100, ttft_ms: 100 })).latencyMs).toBe(100);
  });
});

describe("a key's default", () => {
  const keys = (value: unknown) => createAuthorizationCheck(JSON.stringify(value));
  test("comes with the key, in JSON; keys without one stay plain", async () => {
    const check = keys([{ key: "sk-a", budget: { latency_ms: 500, strict: true } }, { key: "sk-b" }, "sk-c"]);
    expect(check("Bearer sk-a").budget).toEqual({ latency_ms: 500, strict: true });
    expect(check("Bearer sk-b").budget).toEqual({});
    expect(check("Bearer sk-c").budget).toEqual({});
    expect(createAuthorizationCheck("sk-x, sk-c")("Bearer sk-c")).toEqual(check("Bearer sk-c"));
    expect(check("Bearer sk-a").keyId).not.toBe(check("Bearer sk-b").keyId);
    expect(JSON.stringify(check("Bearer sk-a"))).not.toContain("sk-a");
  });

  test.each([
    ['[{"key": "sk-secret", "budget": {"latency_ms": -1}}]', "entry 0", "latency_ms"],
    ['["sk-secret", {"key": "sk-secret", "budget": {"latency": 1}}]', "entry 1", "latency"],
    ['["sk-secret", {"key": "sk-secret", "budget": {"latency_ms": 5, "ttft_ms": 6}}]', "entry 1", "ttft_ms"],
    ['["sk-secret", {"name": "sk-secret"}]', "entry 1", "key"],
    ['["sk-secret", 5]', "entry 1", "key"],
    ['["sk-secret"', "JSON", "JSON"],
  ])("that is wrong is named, and no key with it: %s", async (apiKeys, where, what) => {
    const error = await failure(() => createAuthorizationCheck(apiKeys)("Bearer sk-secret"));
    expect(error.code).toBe("misconfigured");
    expect(error.message).toContain(where);
    expect(error.message).toContain(what);
    expect(error.message).not.toContain("sk-secret");
  });
});
