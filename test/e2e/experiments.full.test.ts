// An A/B experiment on the process that `npm start` runs: real engine, real database, a restart in between.
import { afterAll, beforeAll, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";

const ARMS = { small: "smollm2-135m-franken-all-except-last-two", smaller: "smollm2-135m-franken-0-7" } as const;
const USERS = ["ada", "bob", "cy", "dee", "eve"];
const id = `e2e-${Date.now().toString(36)}`;
/** Only this test's requests take part. */
const HEADER = { "x-e2e": id };

/** What of replies the test looks at. */
interface Told {
  readonly status?: string;
  readonly error?: { readonly param: string };
  readonly log?: readonly { readonly action: string }[];
  readonly sample_ratio?: { readonly exposed: Readonly<Record<string, number>> };
}

let server: Server;
beforeAll(async () => {
  server = await startServer(await startCommand(), await freePort());
});
afterAll(async () => {
  await api("DELETE", `/v1/experiments/${id}`);
  await server?.stop();
});

async function api(method: string, path: string, body?: unknown): Promise<{ status: number; json: Told }> {
  const response = await fetch(`${server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${server.key}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: response.status, json: (await response.json()) as Told };
}

async function ask(user: string): Promise<{ id: string; model: string; arm: string | null }> {
  const { data, response } = await server.openai.chat.completions
    .create({ model: "auto", user, max_tokens: 4, messages: [{ role: "user", content: "Hi" }] }, { headers: HEADER })
    .withResponse();
  return { id: data.id, model: data.model, arm: response.headers.get("x-franken-arm") };
}

const armsOf = async (): Promise<Map<string, string>> => {
  const arms = new Map<string, string>();
  for (const user of USERS) arms.set(user, (await ask(user)).arm as string);
  return arms;
};

it("keeps users in their arms over a restart, takes ratings, and tells results", { timeout: 240_000 }, async () => {
  const created = await api("POST", "/v1/experiments", {
    id,
    arms: Object.entries(ARMS).map(([name, model]) => ({ name, model, weight: 0.5 })),
    control: "small",
    audience: { header: { name: "x-e2e", values: [id] } },
    primary: { metric: "rating", margin: 0.2 },
    guardrails: [{ metric: "error", margin: 0.1 }],
    window_seconds: 0,
    settle_seconds: 0,
  });
  expect([created.status, created.json.status]).toEqual([200, "running"]);

  const first = await armsOf();
  const answers: Awaited<ReturnType<typeof ask>>[] = [];
  for (let round = 0; round < 2; round++) for (const user of USERS) answers.push(await ask(user));
  for (const { arm, model } of answers) expect(model).toBe(ARMS[arm as keyof typeof ARMS]);
  expect(answers.map(({ arm }) => arm)).toEqual([...USERS, ...USERS].map((user) => first.get(user)));

  const [rated] = answers;
  const feedback = { completion_id: rated?.id, rating: 1, text: "good" };
  expect((await api("POST", "/v1/feedback", feedback)).status).toBe(200);
  expect((await api("POST", "/v1/feedback", feedback)).json.error).toMatchObject({ param: "completion_id" });

  server = await server.restart();
  expect(await armsOf()).toEqual(first);
  const late = { completion_id: answers[1]?.id, rating: -1 };
  expect((await api("POST", "/v1/feedback", late)).status).toBe(200);

  const counts = Object.fromEntries(
    Object.keys(ARMS).map((arm) => [arm, [...first.values()].filter((other) => other === arm).length]),
  );
  await expect
    .poll(async () => (await api("GET", `/v1/experiments/${id}/results`)).json.sample_ratio?.exposed, {
      timeout: 30_000,
    })
    .toEqual(counts);
  const { json } = await api("GET", `/v1/experiments/${id}`);
  expect(json.log?.map(({ action }) => action)).toEqual(["create"]);
});
