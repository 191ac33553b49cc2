// Mutated requests against the app, with a stand-in for the replica; test/interop has many more against the process that `npm start` runs.
import { expect, test } from "vitest";
import { hostileRequests } from "../support/hostile.ts";
import { faultOf } from "../support/judge.ts";
import { end, testGateway, tokens } from "./gateway.ts";

test("600 mutated requests each get an answer or an error envelope, and nothing that nobody foresaw happens", async () => {
  const gateway = testGateway([...tokens([19556, 28]), end]);
  const statuses = new Map<number, number>();
  for (const request of hostileRequests(1, 600)) {
    const { method, path, headers, body } = request;
    if (path === "/health" && method !== "HEAD") continue;
    const response = await gateway.fetch(path, { method, headers, body: body ?? null });
    statuses.set(response.status, (statuses.get(response.status) ?? 0) + 1);
    expect(await faultOf(request, response)).toBeUndefined();
  }
  await gateway.settled();
  expect(gateway.failures).toEqual([]);
  // The mutations reach the depths: some requests survive them, and most do not.
  expect(statuses.get(200)).toBeGreaterThan(50);
  expect(statuses.get(400)).toBeGreaterThan(100);
}, 30_000);
