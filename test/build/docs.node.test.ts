// The build renders README.md and docs/ as the site that the service shows.
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pack, type SiteFile } from "../../build/docs/pack.ts";
import { buildSite } from "../../build/docs/site.ts";

const README = `# The project

It does one thing. And another.

See [more](docs/more.md#the-odd-one-1) and [the licence](LICENSE).
`;
const MORE = `# More

## The odd one!

First.

## The odd one!

| left | right |
|---|--:|
| [up](../README.md) | 1 |
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "franken-docs-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** The site of a folder with such files, by path. */
async function site(files: Record<string, string>): Promise<Map<string, string>> {
  for (const [name, text] of Object.entries({ "README.md": README, LICENSE: "free", ...files })) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
  }
  const built = await buildSite(folder);
  return new Map(built.map(({ path, content }) => [path, [content].flat().join("")]));
}

describe("a page", () => {
  it("has anchors as GitHub makes them, unique, and links between pages of the site", async () => {
    const built = await site({ "docs/more.md": MORE });
    expect(built.get("/docs")).toContain('<a href="/docs/more#the-odd-one-1">more</a>');
    const more = built.get("/docs/more");
    expect(more).toContain('<h2 id="the-odd-one">');
    expect(more).toContain('<h2 id="the-odd-one-1">');
    expect(more).toContain('<a href="/docs">up</a>');
  });

  it("shows a link to a file that is not on the site as text", async () => {
    const page = (await site({ "docs/more.md": MORE })).get("/docs");
    expect(page).toContain('<span class="file" title="LICENSE, in the repository">the licence</span>');
  });

  it("of a folder is in the list only when it is the folder's first", async () => {
    const built = await site({
      "docs/more.md": MORE,
      "docs/why/README.md": "# Why\n\n[one](one.md)\n",
      "docs/why/one.md": "# One reason\n\n[back](README.md)\n",
    });
    const list = /<nav id="pages"[\s\S]*?<\/nav>/.exec(built.get("/docs") ?? "")?.[0];
    expect(list).toContain('<a href="/docs/why">Why</a>');
    expect(list).not.toContain("One reason");
    expect(built.get("/docs/why")).toContain('<a href="/docs/why/one">one</a>');
    expect(built.get("/docs/why/one")).toContain('<a href="/docs/why">back</a>');
  });

  it("on the API leaves /docs/api to the viewer", async () => {
    const built = await site({ "docs/more.md": MORE, "docs/api.md": "# API\n" });
    expect(built.has("/docs/api")).toBe(false);
    expect(built.get("/docs/endpoints")).toContain('<h1 id="api">');
    expect(built.get("/docs/api.md")).toBe("# API\n");
  });

  it("aligns cells without a style attribute, which its policy forbids", async () => {
    const page = (await site({ "docs/more.md": MORE })).get("/docs/more");
    expect(page).toContain('<td class="right">1</td>');
    expect(page).not.toContain("style=");
  });

  it("shows HTML of its source as text, breaks lines, and leaves comments out", async () => {
    const hostile = [
      ...["# <b>Bold</b>", '<script>alert("block")</script>', "a <img src=x onerror=alert(1)> b<br>c"],
      ...["<!-- one comment --> <script>alert(2)</script> <!-- another -->", "d <!-- unseen --> e"],
      ...["[go](javascript:alert(3))", "```\n<i>code</i>\n```", '![a](javascript:alert(4) "t")'],
    ];
    const page = (await site({ "docs/more.md": `${MORE}\n${hostile.join("\n\n")}\n` })).get("/docs/more") ?? "";
    const body = page.slice(page.indexOf("<main"), page.indexOf("</main>"));
    expect(body).toContain("&lt;script&gt;alert(&quot;block&quot;)&lt;/script&gt;");
    expect(body).toContain("&lt;img src=x onerror=alert(1)&gt; b<br>c");
    expect(body).toContain("&lt;script&gt;alert(2)&lt;/script&gt;");
    expect(body).toContain("&lt;i&gt;code&lt;/i&gt;");
    expect(body).not.toMatch(/unseen|<script|<img|<i>|<b>|(href|src)="javascript/);
  });
});

describe("a link that leads nowhere", () => {
  it.each([
    ["a page", "[x](docs/none.md)", "README.md:4: there is no file docs/none.md"],
    ["a heading", "[x](docs/more.md#none)", "README.md:4: docs/more.md has no heading #none"],
    ["a heading of its own page", "[x](#none)", "README.md:4: README.md has no heading #none"],
    ["a picture", "![x](docs/none.svg)", "README.md:4: there is no file docs/none.svg"],
    ["a file outside of the project", "[x](../../etc/passwd)", "README.md:4: there is no file ../../etc/passwd"],
    ["a place that a reference names", "[x][y]\n\n[y]: docs/none.md", "README.md:4: there is no file docs/none.md"],
  ])("to %s is an error with file and line", async (_, link, message) => {
    const built = site({ "README.md": `# The project\n\nOne line,\nanother: ${link}\n`, "docs/more.md": MORE });
    await expect(built).rejects.toThrow(message);
  });

  it("in a table is told by the line of its row", async () => {
    const built = site({ "docs/more.md": `${MORE}| [x](none.md) | 2 |\n` });
    await expect(built).rejects.toThrow("docs/more.md:12: there is no file docs/none.md");
  });
});

describe("beside the pages", () => {
  it("llms.txt lists the Markdown of each with its first sentence, those that README names first", async () => {
    const built = await site({ "docs/more.md": MORE, "docs/a.md": "# A\n\nNobody names it." });
    expect(built.get("/llms.txt")).toContain(
      [
        "# The project\n\n> It does one thing.\n\n## Docs\n",
        "- [The project](/README.md): It does one thing.",
        "- [More](/docs/more.md): First.",
        "- [A](/docs/a.md): Nobody names it.\n",
      ].join("\n"),
    );
    expect(built.get("/docs/more.md")).toBe(MORE);
  });

  it("the search's index says which lines of llms-full.txt are below each heading", async () => {
    const built = await site({ "docs/more.md": MORE, "docs/a.md": "# A\n\nNo line's end." });
    const lines = built.get("/llms-full.txt")?.split("\n") ?? [];
    const index: { url: string; heading: string; from: number; to: number }[] = JSON.parse(
      built.get("/docs/search.json") ?? "",
    );
    const below = index.map(({ url, heading, from, to }) => {
      expect(lines[from - 1]?.replace(/^#+ /, "")).toBe(heading);
      return [url, lines.slice(from, to).join("").replaceAll("|", "").slice(0, 14)];
    });
    expect(below).toEqual([
      ["/docs", "It does one th"],
      ["/docs/more", ""],
      ["/docs/more#the-odd-one", "First."],
      ["/docs/more#the-odd-one-1", " left  right -"],
      ["/docs/a", "No line's end."],
    ]);
  });

  it("equal pieces of files are packed once, and unpack to what they were", () => {
    const type = "text/plain";
    const files: SiteFile[] = [
      { path: "/a", type, content: "one" },
      { path: "/b", type, content: "two" },
      { path: "/both", type, content: ["one", "two"] },
    ];
    const { index, bytes } = pack(files);
    const unpack = (path: string) =>
      index[path]?.pieces.map(([begin, end]) => gunzipSync(bytes.subarray(begin, end)).toString()).join("");
    expect(["/a", "/b", "/both"].map(unpack)).toEqual(["one", "two", "onetwo"]);
    expect(bytes.length).toBe(pack(files.slice(0, 2)).bytes.length);
    expect(new Set(Object.values(index).map(({ etag }) => etag)).size).toBe(3);
  });
});
