// The same service under plain `wrangler dev`, which takes everything from the wrangler files.
import { execFileSync } from "node:child_process";
import type OpenAI from "openai";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePort, type Server, startServer, wranglerDevCommand } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";
import { quietWrangler } from "../../build/workers.ts";

let server: Server;

beforeAll(async () => {
  const migrate = "node_modules/wrangler/bin/wrangler.js d1 migrations apply DB --local".split(" ");
  execFileSync(process.execPath, migrate, { cwd: root, env: { ...process.env, ...quietWrangler }, stdio: "pipe" });
  const port = await freePort();
  server = await startServer(wranglerDevCommand(port, "--var", "REQUEST_DEADLINE_MS:8000"), port);
});
afterAll(() => server?.stop());

const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: "What is the capital of Italy?" }];

it("answers, streamed and not, two at once", async () => {
  const request = { model: "smollm2-135m-attn-drop-5", messages, temperature: 0, max_tokens: 16 } as const;
  const [whole, stream] = await Promise.all([
    server.openai.chat.completions.create(request),
    server.openai.chat.completions.create({ ...request, stream: true }),
  ]);
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  expect(text.length).toBeGreaterThan(0);
  expect(text).toBe(whole.choices[0]?.message.content);
});

it("breaks a reply that is not streamed off at the deadline, and tells nothing of it", async () => {
  const asked = Date.now();
  const reply = server.openai.chat.completions.create({
    model: "smollm2-135m",
    messages: [{ role: "user", content: "Count from one to ten thousand." }],
    temperature: 2,
    max_tokens: 1500,
    seed: 1,
  });
  await expect(reply).rejects.toThrow();
  expect(Date.now() - asked).toBeLessThan(14_000);
});

it("makes a response in the background", async () => {
  const { responses } = server.openai;
  const asked = {
    model: "smollm2-135m",
    input: "What is the capital of Italy?",
    temperature: 0,
    max_output_tokens: 16,
  };
  // wrangler's proxy may still hold the connection that the reply before was broken off on; it then says to ask again.
  const { id, status } = await responses.create({ ...asked, background: true }, { maxRetries: 2 });
  expect(status).toBe("queued");
  const made = await vi.waitFor(
    async () => {
      const response = await responses.retrieve(id);
      expect(["completed", "incomplete"]).toContain(response.status);
      return response;
    },
    { timeout: 30_000, interval: 200 },
  );
  expect(made.output_text.length).toBeGreaterThan(0);
});

it("measures a slice of its scores when its trigger is called by hand", async () => {
  const began = new Date().toISOString();
  await vi.waitFor(
    async () => {
      // While the reply of the test before is still being stopped, a slice measures nothing.
      expect((await fetch(`${server.url}/cdn-cgi/handler/scheduled`)).status).toBe(200);
      const response = await fetch(`${server.url}/v1/scores`, { headers: { authorization: `Bearer ${server.key}` } });
      const { data } = (await response.json()) as { data: { kind: string; measured_at: string }[] };
      expect(data.some(({ kind, measured_at }) => kind === "served" && measured_at > began)).toBe(true);
    },
    { timeout: 60_000, interval: 1000 },
  );
});
