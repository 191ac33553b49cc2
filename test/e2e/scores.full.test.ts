// The service measures itself while it is idle: the process that `npm start` runs, on the real weights, with its clock set fast.
import { expect, it, vi } from "vitest";
import { freePort, startCommand, startServer } from "../../bench/service-process.ts";

interface Score {
  readonly variant: string;
  readonly task: string;
  readonly kind: string;
  readonly items: number;
  readonly metrics: Record<string, { value: number }>;
  readonly digests: { engine: string };
  readonly measured_at: string;
}

it("serves scores of its own that grow with each slice, answers at once in between, and keeps them over a restart", async () => {
  const port = await freePort();
  let server = await startServer(await startCommand(), port, { SCORES_CRON: "*/2 * * * * *" });
  const served = async (): Promise<Score[]> => {
    const response = await fetch(`${server.url}/v1/scores`, { headers: { authorization: `Bearer ${server.key}` } });
    const { data } = (await response.json()) as { data: Score[] };
    return data.filter(({ kind }) => kind === "served");
  };
  const latest = (scores: readonly Score[]): string =>
    scores
      .map(({ measured_at }) => measured_at)
      .sort()
      .at(-1) ?? "";
  try {
    const began = new Date().toISOString();
    await vi.waitFor(async () => expect(latest(await served()) > began).toBe(true), {
      timeout: 90_000,
      interval: 1000,
    });
    const completion = await server.openai.chat.completions.create({
      model: "smollm2-135m",
      messages: [{ role: "user", content: "What is the capital of Italy?" }],
      temperature: 0,
      max_tokens: 20,
    });
    expect(completion.choices[0]?.message.content).toMatch(/Ital/);

    const scores = await served();
    const score = scores.find(({ measured_at }) => measured_at === latest(scores))!;
    expect(score.items).toBeGreaterThan(0);
    expect(score.digests.engine).toContain("wasm");
    for (const { value } of Object.values(score.metrics)) expect(value).toBeGreaterThanOrEqual(0);
    expect(server.events("measuring_failed").concat(server.events("records_lost"))).toEqual([]);
    const before = await served();
    server = await server.restart();
    const after = await served();
    expect(after.length).toBeGreaterThanOrEqual(before.length);
    for (const { variant, task, measured_at } of before) {
      const same = after.find((other) => other.variant === variant && other.task === task);
      expect(same && same.measured_at >= measured_at).toBe(true);
    }
  } finally {
    await server.stop();
  }
}, 240_000);
