import { describe, expect, test } from "vitest";
import { z } from "zod";
import { createApp } from "../../src/app.ts";
import { errorEnvelopeSchema } from "../../src/openai/index.ts";
import { createServices } from "../../src/services.ts";
import { VERSION } from "../../src/version.ts";
import {
  catalogue,
  errorOf,
  KEY,
  noScores,
  ready,
  routingOptions,
  saying,
  sharedTokenizer,
  standIn,
  testGateway,
  USER,
} from "./gateway.ts";

describe("models", () => {
  const costs = z.strictObject({
    weight_bytes: z.int().positive(),
    multiply_adds_per_token: z.int().positive(),
    kv_bytes_per_token: z.int().nonnegative(),
  });
  const model = z.looseObject({
    id: z.string(),
    object: z.literal("model"),
    created: z.int(),
    owned_by: z.string(),
    metadata: z.looseObject({ costs }),
  });

  test("are listed as the catalogue has them", async () => {
    const response = await testGateway().fetch("/v1/models");
    expect(response.status).toBe(200);
    const list = (await response.json()) as { object: string; data: z.infer<typeof model>[] };
    expect(list.object).toBe("list");
    const [auto] = list.data.splice(-1);
    expect(auto).toMatchObject({ id: "auto", metadata: { base: "smollm2-135m-instruct", variants: catalogue.size } });
    expect(list.data.map((entry) => model.parse(entry).id)).toEqual([...catalogue.keys()]);
  });

  test("tell one by its id", async () => {
    const response = await testGateway().fetch("/v1/models/smollm2-135m-attn-drop-10");
    const variant = catalogue.get("smollm2-135m-attn-drop-10");
    expect(await response.json()).toMatchObject({
      id: "smollm2-135m-attn-drop-10",
      created: variant?.plan.base.created,
      metadata: {
        title: variant?.recipe.title,
        status: variant?.recipe.status,
        description: "Its quality is visibly reduced.",
        origin: variant?.recipe.origin,
        base: "smollm2-135m-instruct",
        context_length: 8192,
        slots: variant && "slots" in variant.recipe ? variant.recipe.slots : undefined,
        costs: { weight_bytes: variant?.plan.costs.weightBytes, kv_bytes_per_token: variant?.plan.costs.kvBytes },
      },
    });
  });

  test("that are not there get 404", async () => {
    const response = await testGateway().fetch("/v1/models/gpt-5");
    expect(response.status).toBe(404);
    expect(await errorOf(response)).toMatchObject({ code: "model_not_found", param: "model" });
  });
});

describe("health", () => {
  const health = (status: () => typeof ready) =>
    testGateway(standIn([], status)).fetch("/health", { headers: { authorization: "" } });

  test("is 200 once the replica is ready", async () => {
    const response = await health(() => ready);
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({
      status: "ok",
      replicas: [{ base: "smollm2-135m-instruct", state: "ready", digest: "d1", resident_bytes: 1000 }],
    });
  });

  test("says since when nothing can be stored, and goes on answering", async () => {
    const full = { since: Date.UTC(2026, 0, 1), message: "the storage takes nothing, as on a disk that is full" };
    const storage = async (storageFailing: () => typeof full | undefined) => {
      const response = await testGateway(standIn([]), { storageFailing }).fetch("/health");
      expect(response.status).toBe(200);
      return ((await response.json()) as { storage: object }).storage;
    };
    expect(await storage(() => undefined)).toEqual({ status: "ok" });
    expect(await storage(() => full)).toEqual({
      status: "failing",
      error: full.message,
      since: "2026-01-01T00:00:00.000Z",
    });
  });

  test("is 503 with the progress while it loads", async () => {
    const response = await health(() => ({ ...ready, state: "loading", progress: 0.25, digest: "" }));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ status: "loading", progress: 0.25 });
  });

  test("is 503 with the reason when loading failed", async () => {
    const response = await health(() => ({ ...ready, state: "failed", error: "weight part x is missing" }));
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ status: "failed", error: "weight part x is missing" });
  });

  test("is 503 when the replica does not answer", async () => {
    const response = await health(() => {
      throw new Error("secret detail");
    });
    expect(response.status).toBe(503);
    const text = await response.text();
    expect(text).toContain("failed");
    expect(text).not.toContain("secret detail");
  });
});

describe("the description", () => {
  interface Document {
    openapi: string;
    info: { version: string };
    paths: Record<string, Record<string, { security?: object[]; responses: Record<string, unknown> }>>;
    components: { schemas: Record<string, { properties?: object; description?: string }>; securitySchemes: object };
  }
  const describeApi = async () =>
    (await (await testGateway().fetch("/openapi.json", { headers: { authorization: "" } })).json()) as Document;

  test("has exactly the routes that are served, and what needs a key", async () => {
    const document = await describeApi();
    expect(document.openapi).toBe("3.1.0");
    expect(document.info.version).toBe(VERSION);
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    );
    const options = {
      catalogue,
      replicaOf: () => standIn([]),
      tokenizerOf: sharedTokenizer,
      scores: noScores,
      apiKeys: KEY,
      deadlineMs: 1,
      limitsOf: () => ({ take: async () => ({ standings: {}, refused: undefined }) }),
      routing: routingOptions(),
    };
    const served = createApp(createServices(options))
      .routes.filter(({ method }) => method !== "ALL")
      .map(({ method, path }) => `${method} ${path.replace(/:(\w+)/g, "{$1}")}`);
    expect(described.sort()).toEqual([...new Set(served)].sort());
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const { security } of Object.values(methods)) {
        // An empty requirement says that a key may be left out.
        const needsKey = Boolean(security?.every((schemes) => Object.keys(schemes).length > 0));
        expect(needsKey, path).toBe(path.startsWith("/v1/"));
      }
    }
  });

  test("describes requests, replies, errors and the key", async () => {
    const { components, paths } = await describeApi();
    expect(Object.keys(components.schemas)).toEqual(
      expect.arrayContaining(["ChatCompletionRequest", "ChatCompletion", "ChatCompletionChunk", "Error", "Model"]),
    );
    expect(components.schemas.ChatCompletionRequest?.description).toContain("`audio`");
    expect(components.securitySchemes).toMatchObject({ apiKey: { type: "http", scheme: "bearer" } });
    expect(Object.keys(paths["/v1/chat/completions"]?.post?.responses ?? {})).toEqual(
      expect.arrayContaining(["200", "400", "401", "404", "413", "415", "500", "503", "504"]),
    );
  });
});

test("GET / says what this is, without a key", async () => {
  const response = await testGateway().fetch("/", { headers: { authorization: "" } });
  expect(response.status).toBe(200);
  expect(await response.json()).toMatchObject({ name: "Franken Gateway", openapi: "/openapi.json" });
});

describe("every reply", () => {
  const replies: readonly [string, RequestInit, number][] = [
    ["/", {}, 200],
    ["/health", {}, 200],
    ["/v1/models", {}, 200],
    ["/v1/models", { headers: { authorization: "" } }, 401],
    ["/v1/models", { method: "DELETE" }, 405],
    ["/v1/nothing", {}, 404],
    ["/nothing", {}, 404],
    ["/v1/chat/completions", { method: "POST" }, 415],
    ["/v1/models", { method: "OPTIONS", headers: { authorization: "" } }, 204],
    ["/v1/models", { method: "HEAD" }, 200],
  ];
  test.each(
    replies,
  )("%s %j is %i and has a request id, a time, CORS headers and a line in the log", async (path, init, status) => {
    const gateway = testGateway();
    const response = await gateway.fetch(path, init);
    expect(response.status).toBe(status);
    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    expect(response.headers.get("openai-processing-ms")).toMatch(/^\d+$/);
    expect(response.headers.get("openai-version")).toBe("2020-10-01");
    expect(response.headers.get("access-control-allow-origin")).toBe("*");
    if (status >= 400) errorEnvelopeSchema.parse(await response.json());
    // Probes are not in the log: they come every second, for ever.
    const logged = path === "/health" ? [] : [{ requestId: response.headers.get("x-request-id"), status }];
    expect(gateway.records).toMatchObject(logged);
  });

  test("to a chat, streamed or not, has them too", async () => {
    for (const stream of [true, false]) {
      const response = await testGateway(await saying("Hi")).chat({ stream });
      expect(response.headers.get("x-request-id")).toMatch(/^req_/);
      expect(response.headers.get("access-control-allow-origin")).toBe("*");
      expect(response.headers.get("openai-processing-ms")).toMatch(/^\d+$/);
      await response.text();
    }
  });

  test("repeats a sane request id and replaces any other", async () => {
    const idFor = async (id: string) =>
      (await testGateway().fetch("/", { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await idFor("my-id_1")).toBe("my-id_1");
    expect(await idFor("x".repeat(128))).toBe("x".repeat(128));
    for (const id of ["a b", "x".repeat(200), "<script>", "a,b"]) expect(await idFor(id)).toMatch(/^req_/);
  });
});

describe("methods", () => {
  test.each([
    ["GET", "/v1/chat/completions", "POST, OPTIONS"],
    ["HEAD", "/v1/chat/completions", "POST, OPTIONS"],
    ["POST", "/v1/models", "GET, HEAD, OPTIONS"],
    ["PUT", "/v1/models/smollm2-135m", "GET, HEAD, OPTIONS"],
    ["POST", "/health", "GET, HEAD, OPTIONS"],
    ["PATCH", "/", "GET, HEAD, OPTIONS"],
  ])("%s %s gets 405 and what is allowed", async (method, path, allow) => {
    const response = await testGateway().fetch(path, { method });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe(allow);
    if (method !== "HEAD") expect((await errorOf(response)).code).toBe("method_not_allowed");
  });

  test("a browser's preflight is answered without a key", async () => {
    const response = await testGateway().fetch("/v1/chat/completions", {
      method: "OPTIONS",
      headers: {
        authorization: "",
        origin: "https://page.test",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-stainless-lang",
      },
    });
    expect(response.status).toBe(204);
    expect(response.headers.get("access-control-allow-methods")).toContain("POST");
    expect(response.headers.get("access-control-allow-headers")).toContain("x-stainless-lang");
  });
});

describe("the log", () => {
  test("has one line a request, with no text and no key", async () => {
    for (const stream of [true, false]) {
      const gateway = testGateway(await saying("pineapple juice"));
      const response = await gateway.chat({ stream, messages: [{ role: "user", content: "mango lassi" }] });
      await response.text();
      await gateway.settled();
      expect(gateway.records).toEqual([
        {
          requestId: response.headers.get("x-request-id"),
          method: "POST",
          route: "/v1/chat/completions",
          status: 200,
          model: "smollm2-135m",
          stream,
          promptTokens: expect.any(Number),
          completionTokens: gateway.records[0]?.completionTokens,
          finishReason: "stop",
          variant: "smollm2-135m",
          decision: response.headers.get("x-franken-decision"),
          rule: "pinned",
          predictedMs: { ttft: expect.any(Number), tpot: expect.any(Number), latency: expect.any(Number) },
          actualMs: { ttft: expect.any(Number), tpot: expect.any(Number), latency: expect.any(Number) },
          ms: expect.any(Number),
        },
      ]);
      expect(gateway.records[0]?.completionTokens).toBeGreaterThan(1);
      expect(JSON.stringify(gateway.records)).not.toMatch(/pineapple|juice|mango|lassi|sk-/);
    }
  });

  test("names neither unknown models nor unknown paths, which a client made up", async () => {
    const gateway = testGateway();
    await gateway.chat({ model: "mango", messages: USER });
    await gateway.fetch("/mango");
    await gateway.fetch("/v1/models/mango");
    expect(JSON.stringify(gateway.records)).not.toContain("mango");
    expect(gateway.records.map(({ route, error }) => [route, error])).toEqual([
      ["/v1/chat/completions", "model_not_found"],
      ["unknown", "unknown_url"],
      ["/v1/models/:model", "model_not_found"],
    ]);
  });

  test("has the reason of an unexpected failure, which the client does not get", async () => {
    const gateway = testGateway([], {
      tokenizerOf: () => {
        throw new Error("no tokenizer file");
      },
    });
    const response = await gateway.chat({});
    expect(response.status).toBe(500);
    expect(await errorOf(response)).toMatchObject({
      code: "internal_error",
      message: expect.not.stringContaining("tokenizer"),
    });
    expect(gateway.failures).toMatchObject([{ message: "no tokenizer file" }]);
  });
});
