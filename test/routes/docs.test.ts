// The documentation, as the build packed it.
import { describe, expect, it } from "vitest";
import { errorOf, testGateway } from "./gateway.ts";

const get = (path: string, headers: Record<string, string> = {}) =>
  testGateway().fetch(path, { headers: { authorization: "", ...headers } });
const typeOf = (response: Response) => response.headers.get("content-type");

interface Operation {
  readonly parameters: readonly { readonly name: string }[];
  readonly responses: Readonly<Record<string, { readonly content: object }>>;
}

describe("the documentation", () => {
  it("has README as its first page, without a key, under a policy that lets nothing in from elsewhere", async () => {
    const response = await get("/docs");
    expect(response.status).toBe(200);
    expect(typeOf(response)).toBe("text/html; charset=utf-8");
    const policy = response.headers.get("content-security-policy");
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toMatch(/unsafe|https?:|\*/);
    expect(response.headers.get("x-content-type-options")).toBe("nosniff");
    const page = await response.text();
    expect(page).toContain("<title>Franken Gateway</title>");
    expect(page).toContain('<a href="/docs/limits">');
    expect(page.endsWith("</html>\n")).toBe(true);
  });

  it("loads only what is served, and nothing that its policy forbids", async () => {
    const page = await (await get("/docs/variants")).text();
    const loaded = [...page.matchAll(/(?:src|rel="stylesheet" href)="([^"]*)"/g)].map(([, path]) => path as string);
    expect(loaded).toContain("/docs/style.css");
    expect(loaded).toContain("/docs/pareto-hellaswag.svg");
    for (const path of loaded) expect((await get(path)).status, path).toBe(200);
    expect(page).not.toMatch(/<script>|<style|\son\w+=|\sstyle=/);
  });

  it("gives each page as Markdown too", async () => {
    for (const path of ["/README.md", "/docs/limits.md"]) {
      const response = await get(path);
      expect(response.status).toBe(200);
      expect(typeOf(response)).toBe("text/markdown; charset=utf-8");
      expect(await response.text()).toMatch(/^# /);
    }
  });

  it("lists for language models what is served", async () => {
    const list = await (await get("/llms.txt")).text();
    expect(list).toMatch(/^# Franken Gateway\n\n> /);
    const paths = [...list.matchAll(/\]\((\/[^)]*)\)/g)].map(([, path]) => path as string);
    expect(paths).toContain("/docs/limits.md");
    for (const path of paths) expect((await get(path)).status, path).toBe(200);
  });

  it("gives all pages as one text, which is made of theirs", async () => {
    const [full, first, limits] = await Promise.all(
      ["/llms-full.txt", "/README.md", "/docs/limits.md"].map(async (path) => (await get(path)).text()),
    );
    expect(full).toContain(first);
    expect(full).toContain(limits);
  });

  it("is not sent again to who has it", async () => {
    const etag = (await get("/docs/limits")).headers.get("etag") ?? "";
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`]) {
      const response = await get("/docs/limits", { "if-none-match": known });
      expect(response.status).toBe(304);
      expect(await response.text()).toBe("");
    }
    expect((await get("/docs/limits", { "if-none-match": '"other"' })).status).toBe(200);
  });

  it("answers for an unknown page with a page to a browser, with an error to others", async () => {
    for (const path of ["/docs/none", "/docs/none.md", "/docs/api/none.js", "/docs/404", "/docs/__proto__"]) {
      const page = await get(path, { accept: "text/html,application/xhtml+xml,*/*;q=0.8" });
      expect(page.status).toBe(404);
      expect(typeOf(page)).toBe("text/html; charset=utf-8");
      expect(page.headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(await page.text()).toContain("There is no such page.");

      const error = await get(path, { accept: "application/json" });
      expect(error.status).toBe(404);
      expect(await errorOf(error)).toMatchObject({ code: "unknown_url", message: `Invalid URL (GET ${path})` });
    }
  });

  it("takes no other method", async () => {
    const response = await testGateway().fetch("/docs/limits", { method: "POST" });
    expect(response.status).toBe(405);
    expect(response.headers.get("allow")).toBe("GET, HEAD, OPTIONS");
  });
});

describe("the API's viewer", () => {
  it("is at /docs/api, with all that it loads", async () => {
    const page = await get("/docs/api");
    expect(page.status).toBe(200);
    expect(page.headers.get("content-security-policy")).toContain("style-src 'self' 'unsafe-inline'");
    const loaded = [...(await page.text()).matchAll(/(?:src|rel="stylesheet" href)="([^"]*)"/g)];
    expect(loaded).toHaveLength(3);
    for (const [, path] of loaded) expect((await get(path as string)).status, path).toBe(200);
    expect(await (await get("/docs/api/viewer.js")).text()).toContain("SwaggerUIBundle");
  });
});

it("the description has the parameters of a page's path, and the 404 of one that is not there", async () => {
  const { paths } = (await (await get("/openapi.json")).json()) as {
    paths: Record<string, { get: Operation }>;
  };
  for (const path of ["/docs/{page}", "/docs/{folder}/{page}"]) {
    expect(paths[path]?.get.parameters.map(({ name }) => `{${name}}`)).toEqual(path.match(/\{\w+\}/g));
    expect(Object.keys(paths[path]?.get.responses["404"]?.content ?? {})).toEqual(["application/json", "text/html"]);
  }
});

it.each(["/docs", "/docs/limits"])("a slash behind %s leads to the page", async (path) => {
  const response = await get(`${path}/`);
  expect(response.status).toBe(301);
  expect(new URL(response.headers.get("location") ?? "", "https://gateway.test").pathname).toBe(path);
});
