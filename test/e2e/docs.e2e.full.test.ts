// The documentation in a browser, which is left out where there is no Chromium.
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { browserPath } from "./browser.ts";
import { service } from "./service.ts";

const server = service();

describe.skipIf(!browserPath)("the documentation in a browser", () => {
  let browser: Browser;
  const complaints: string[] = [];
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: browserPath as string, args: ["--no-sandbox"] });
  });
  afterAll(async () => {
    await browser?.close();
  });

  async function open(path: string, options: BrowserContextOptions = {}): Promise<Page> {
    const context = await browser.newContext(options);
    const page = await context.newPage();
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(`${server.url}/`) && !url.startsWith("data:")) complaints.push(url);
    });
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(error.message));
    await page.goto(server.url + path);
    return page;
  }

  it("finds a section by its words and leads there, by keyboard alone", async () => {
    const page = await open("/docs");
    await page.keyboard.press("/");
    await page.keyboard.type("request_deadline_ms");
    await page.locator("#results li").first().waitFor();
    const target = await page.locator("#results a").first().getAttribute("href");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL(server.url + target);
    const anchor = target?.split("#")[1];
    if (anchor) expect(await page.locator(`[id="${anchor}"]`).count()).toBe(1);
    expect(complaints).toEqual([]);
  });

  it.each([360, 800, 1366, 2560])("is never wider than a window of %d pixels", async (width) => {
    const page = await open("/docs", { viewport: { width, height: 800 } });
    const paths = await page
      .locator("#pages a")
      .evaluateAll((links) => links.map((link) => link.getAttribute("href") ?? ""));
    expect(paths.length).toBeGreaterThan(3);
    for (const path of paths.filter((other) => other !== "/docs/api")) {
      await page.goto(server.url + path);
      expect(await page.evaluate("document.documentElement.scrollWidth"), path).toBeLessThanOrEqual(width);
    }
    expect(complaints).toEqual([]);
  });

  it("is dark where the reader wants it", async () => {
    const paper = async (colorScheme: "light" | "dark"): Promise<string> => {
      const page = await open("/docs", { colorScheme });
      return page.evaluate("getComputedStyle(document.body).backgroundColor");
    };
    expect(await paper("light")).toBe("rgb(255, 255, 255)");
    expect(await paper("dark")).toBe("rgb(13, 17, 23)");
  });

  it("shows its list of pages on a narrow screen when asked", async () => {
    const page = await open("/docs", { viewport: { width: 360, height: 740 } });
    const link = page.locator('#pages a[href="/docs/limits"]');
    expect(await link.isVisible()).toBe(false);
    await page.getByRole("button", { name: "Pages" }).click();
    await link.click();
    await page.waitForURL(`${server.url}/docs/limits`);
    expect(complaints).toEqual([]);
  });

  it("copies a block of code", async () => {
    const page = await open("/docs", { permissions: ["clipboard-read", "clipboard-write"] });
    const block = page.locator(".block").first();
    await block.hover();
    await block.getByRole("button", { name: "Copy" }).click();
    await block.getByRole("button", { name: "Copied" }).waitFor();
    expect(await page.evaluate("navigator.clipboard.readText()")).toBe(await block.locator("pre").textContent());
  });
});
