import { expect, test } from "vitest";
import { AccessError, createAuthorizationCheck, readKeys } from "../../src/access/index.ts";
import { errorOf, testGateway } from "../routes/gateway.ts";

const status = async (authorization: string, apiKeys = "sk-a, sk-b") =>
  (await testGateway([], { apiKeys }).fetch("/v1/models", { headers: { authorization } })).status;

test("any configured key is accepted, in any case of Bearer", async () => {
  expect(await status("Bearer sk-a")).toBe(200);
  expect(await status("bearer sk-b")).toBe(200);
});

test.each([
  "",
  "Bearer",
  "Bearer ",
  "sk-a",
  "Basic sk-a",
  "Bearer sk-",
  "Bearer sk-aa",
  "Bearer sk-a,",
  "Bearer sk-a sk-b",
  "Bearer ,",
])("%j is refused with 401", async (authorization) => {
  const response = await testGateway([], { apiKeys: "sk-a,sk-b" }).fetch("/v1/models", { headers: { authorization } });
  expect(response.status).toBe(401);
  expect(response.headers.get("www-authenticate")).toBe("Bearer");
  expect(await errorOf(response)).toMatchObject({
    code: "invalid_api_key",
    type: "invalid_request_error",
    param: null,
  });
});

test("a wrong key is never repeated", async () => {
  const response = await testGateway().fetch("/v1/models", { headers: { authorization: "Bearer sk-very-secret" } });
  expect(await response.text()).not.toContain("very-secret");
});

test("with no key configured every request is refused, and told why", async () => {
  for (const apiKeys of ["", " , "]) {
    expect(await status("Bearer ", apiKeys)).toBe(500);
    expect(() => createAuthorizationCheck(apiKeys)("Bearer x")).toThrow(AccessError);
  }
});

test("a key is an admin's only where it says so, and nothing but true or false says it", () => {
  const adminOf = (entry: unknown) => createAuthorizationCheck(JSON.stringify([entry]))("Bearer sk-a").admin;
  expect(adminOf("sk-a")).toBe(false);
  expect(adminOf({ key: "sk-a" })).toBe(false);
  expect(adminOf({ key: "sk-a", admin: true })).toBe(true);
  expect(() => adminOf({ key: "sk-a", admin: "yes" })).toThrow("neither true nor false");
});

test.each([
  ["sk-a", ["sk-a"]],
  [" sk-a , sk-b,", ["sk-a", "sk-b"]],
  ['["sk-a", "sk-b"]', ["sk-a", "sk-b"]],
  ['[{"requests_per_minute": 5, "key": "sk-a"}]', ["sk-a"]],
  ['["sk-a", {"key": "sk-\'b\'", "admin": true}]', ["sk-'b'", "sk-a"]],
])("the keys of %s are read in every form, an admin's first", (apiKeys, keys) => {
  expect(readKeys(apiKeys)).toEqual(keys);
});

test.each([
  ["", "no API keys yet"],
  ["[]", "no API keys yet"],
  ['[{"key": "sk-secret"', "not: a quote or a bracket is missing"],
  ['{"key": "sk-secret"}', "must be an array"],
  ['"sk-secret"', "must be an array"],
  ['\'[{"key": "sk-secret', "entry 0"],
  ['sk-secret"}]', "entry 0"],
  ["sk secret", "entry 0"],
  ['["sk-\u00e9secret"]', "entry 0"],
  ['[{"key": "sk-secret", "admin": "yes"}]', "'admin' that is neither true nor false"],
  ['[{"key": "sk-secret", "requests_per_minute": 0}]', "'requests_per_minute' that is no whole number"],
])("API_KEYS that are %s are refused, and no key is repeated", (apiKeys, problem) => {
  expect(() => readKeys(apiKeys)).toThrow(problem);
  expect(() => readKeys(apiKeys)).not.toThrow('secret"');
});
