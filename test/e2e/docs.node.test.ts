// The page /docs in a browser, of the process that `npm start` runs. Left out where there is no Chromium.
import { spawnSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freePort, type Server, startCommand, startServer } from "./server.ts";

const found = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) => {
  const { stdout } = spawnSync("which", [name], { encoding: "utf8" });
  return stdout?.trim() ? [stdout.trim()] : [];
})[0];
if (!found) console.warn("left out: /docs in a browser, because no chromium or google-chrome is installed");

describe.skipIf(!found)("/docs in a browser", () => {
  let server: Server;
  let browser: Browser;
  beforeAll(async () => {
    [server, browser] = await Promise.all([
      startServer(await startCommand(), await freePort()),
      chromium.launch({ executablePath: found as string, args: ["--no-sandbox"] }),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  it("shows every endpoint, sends requests, and loads nothing from elsewhere", async () => {
    const page = await browser.newPage();
    const elsewhere: string[] = [];
    const complaints: string[] = [];
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${server.url}/`) && !url.startsWith("data:")) elsewhere.push(url);
    });
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));

    const response = await page.goto(`${server.url}/docs`);
    expect(response?.headers()["content-security-policy"]).not.toMatch(/https?:|\*/);
    await page.getByRole("heading", { name: "Franken Gateway" }).waitFor();
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, object> };
    const operations = Object.values(document.paths).reduce((sum, methods) => sum + Object.keys(methods).length, 0);
    await expect.poll(() => page.locator(".opblock").count()).toBe(operations);

    const health = page.locator(".opblock", { has: page.locator('[data-path="/health"]') });
    await health.locator(".opblock-summary-control").click();
    await health.getByRole("button", { name: "Try it out" }).click();
    await health.getByRole("button", { name: "Execute" }).click();
    await health.locator(".live-responses-table .response-col_status", { hasText: "200" }).waitFor();

    expect(elsewhere).toEqual([]);
    expect(complaints).toEqual([]);
  });
});
