import { expect, test } from "vitest";
import { errorOf, testGateway } from "./gateway.ts";

test.each([
  ["POST", "/v1/embeddings", "embeddings"],
  ["POST", "/v1/images/generations", "images"],
  ["POST", "/v1/audio/transcriptions", "speech"],
  ["POST", "/v1/fine_tuning/jobs", "fine-tuning"],
  ["GET", "/v1/batches", "batch"],
  ["DELETE", "/v1/files/file-1", "files"],
  ["POST", "/v1/moderations", "moderation"],
  ["POST", "/v1/assistants", "assistants"],
  ["POST", "/v1/threads/thread_1/runs", "threads"],
  ["GET", "/v1/vector_stores/vs_1/files", "vector stores"],
  ["GET", "/v1/realtime", "realtime"],
  ["POST", "/v1/uploads", "uploads"],
  ["POST", "/v1/containers", "containers"],
  ["POST", "/v1/evals", "evaluations"],
])("%s %s gets 404 that names it and says what there is instead", async (method, path, what) => {
  const response = await testGateway().fetch(path, { method });
  expect(response.status).toBe(404);
  expect(response.headers.get("x-should-retry")).toBe("false");
  const error = await errorOf(response);
  expect(error).toMatchObject({ type: "invalid_request_error", code: "unsupported_endpoint", param: null });
  expect(error.message).toContain(`${method} ${path}`);
  expect(error.message).toContain(what);
  expect(error.message).toContain("POST /v1/chat/completions");
});

test.each([
  "/v1/embedding",
  "/v1/__proto__",
  "/v1/constructor/x",
  "/embeddings",
])("%s, which OpenAI has not either, is an invalid URL", async (path) => {
  expect((await errorOf(await testGateway().fetch(path))).code).toBe("unknown_url");
});

test("without a key even these get 401", async () => {
  const response = await testGateway().fetch("/v1/embeddings", { method: "POST", headers: { authorization: "" } });
  expect(response.status).toBe(401);
});
