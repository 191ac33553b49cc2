// OpenAI's own Python SDK against the process that `npm start` runs. Left out, and said so, on a machine without Python.
import { execFile, execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "../../bench/service-process.ts";
import { root } from "../../build/paths.ts";

const hasPython = (() => {
  try {
    execFileSync("python3", ["-c", "import venv, sys; assert sys.version_info >= (3, 10)"]);
    return true;
  } catch {
    return false;
  }
})();
if (!hasPython) console.warn("left out: OpenAI's Python SDK, because this machine has no python3 with venv");

const venv = join(root, "dist/interop/openai-python");
const python = join(venv, "bin/python");
const run = promisify(execFile);

/** Streams a completion, then asks for the same one whole, then for a model that is not there; prints one JSON document. */
const script = `
import json, openai, sys
client = openai.OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
request = dict(model="smollm2-135m-attn-drop-5", messages=[{"role": "user", "content": "What is the capital of Italy?"}], temperature=0, max_tokens=20)
streamed, usage = "", None
for chunk in client.chat.completions.create(**request, stream=True, stream_options={"include_usage": True}):
    if chunk.choices: streamed += chunk.choices[0].delta.content or ""
    usage = chunk.usage or usage
whole = client.chat.completions.create(**request)
try:
    client.models.retrieve("gpt-9")
    error = None
except openai.NotFoundError as e:
    error = e.code
print(json.dumps({"streamed": streamed, "whole": whole.choices[0].message.content, "usage": usage.total_tokens, "total": whole.usage.total_tokens, "error": error, "models": len(client.models.list().data)}))
`;

describe.skipIf(!hasPython)("OpenAI's Python SDK", () => {
  let server: Server;
  beforeAll(async () => {
    if (!existsSync(python)) await run("python3", ["-m", "venv", venv]);
    await run(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "openai==3.54.0"]);
    const port = await freePort();
    server = await startServer(await startCommand(), port);
  });
  afterAll(() => server?.stop());

  it("streams, completes, lists models and understands our errors", async () => {
    const { stdout } = await run(python, ["-c", script, `${server.url}/v1`, server.key]);
    const result = JSON.parse(stdout);
    expect(result.streamed.length).toBeGreaterThan(0);
    expect(result.streamed).toBe(result.whole);
    expect(result.usage).toBe(result.total);
    expect(result.error).toBe("model_not_found");
    expect(result.models).toBeGreaterThanOrEqual(36);
  });
});
