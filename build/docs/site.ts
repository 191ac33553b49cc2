// The site's files: README.md and docs/ as pages, as Markdown, as llms.txt, and as an index to
// search. A link that leads nowhere is an error with its file and line.
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join, posix } from "node:path";
import { fileURLToPath } from "node:url";
import { type Entry, layOut } from "./layout.ts";
import { type Page, parsePage } from "./markdown.ts";
import type { SiteFile } from "./pack.ts";

/** A Markdown file: its path from the project's root, and where the site has it. */
interface Source extends Entry {
  readonly file: string;
  readonly markdown: string;
  readonly page: Page;
  /** Where its Markdown is served: its own path, so that links between the sources hold. */
  readonly twin: string;
}

const FIRST = "README.md";
/** Pages that are not where their file's name says: the viewer is at /docs/api. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  [FIRST]: "/docs",
  "docs/api.md": "/docs/endpoints",
};
const MARKDOWN = "text/markdown; charset=utf-8";
const HTML = "text/html; charset=utf-8";
/** Files of docs/ that are served as they are. */
const PICTURE = "image/svg+xml";
const isAbsolute = (href: string): boolean => /^[a-z][a-z0-9+.-]*:/i.test(href);

async function readSource(root: string, file: string): Promise<Source> {
  const text = await readFile(join(root, file), "utf8");
  // With a line's end at the end, sources can follow one another.
  const markdown = text.endsWith("\n") ? text : `${text}\n`;
  const page = parsePage(markdown, file);
  const path = ELSEWHERE[file] ?? `/${file.replace(/(\/README)?\.md$/, "")}`;
  return { file, markdown, page, path, twin: `/${file}`, title: page.title };
}

/** A link's file from the project's root, and the anchor within it. */
function resolveLink(from: string, href: string): { file: string; anchor: string } {
  const [path = "", anchor = ""] = href.split("#");
  return {
    file: path ? posix.join(posix.dirname(from), decodeURIComponent(path)) : from,
    anchor: decodeURIComponent(anchor),
  };
}

/** Those that the first page links to in its order, then the others by name. */
function inOrder(sources: readonly Source[]): Source[] {
  const first = sources.find(({ file }) => file === FIRST);
  const linked = (first?.page.links ?? [])
    .filter(({ href }) => !isAbsolute(href))
    .map(({ href }) => resolveLink(FIRST, href).file);
  const rank = ({ file }: Source): number => {
    if (file === FIRST) return -1;
    const index = linked.indexOf(file);
    return index < 0 ? linked.length : index;
  };
  return sources.toSorted((a, b) => rank(a) - rank(b) || (a.file < b.file ? -1 : 1));
}

/** Whether the project has a file is asked without regard to git: what a link names is there or not. */
function brokenLinks(root: string, sources: readonly Source[]): string[] {
  const pages = new Map(sources.map((source) => [source.file, source.page]));
  return sources.flatMap(({ file, page }) =>
    page.links.flatMap(({ href, line }) => {
      if (isAbsolute(href)) return [];
      const target = resolveLink(file, href);
      const where = `${file}:${line}: `;
      const outside = target.file.startsWith("..") || target.file.startsWith("/");
      if (outside || !existsSync(join(root, target.file))) return [`${where}there is no file ${target.file}`];
      const headings = pages.get(target.file)?.headings;
      if (!target.anchor || !headings || headings.some(({ id }) => id === target.anchor)) return [];
      return [`${where}${target.file} has no heading #${target.anchor}`];
    }),
  );
}

const llmsText = ([first, ...others]: readonly Source[]): string => `# ${first?.title}

> ${first?.page.summary}

## Docs

${[first, ...others].map((s) => s && `- [${s.title}](${s.twin}): ${s.page.summary}`).join("\n")}

## API

- [OpenAPI description](/openapi.json): every endpoint, with schemas and examples.

## Optional

- [All pages in one file](/llms-full.txt)
`;

/** All pages in one text, each piece also a file of its own where it is a page's Markdown. */
const fullText = (sources: readonly Source[]): string[] =>
  sources.flatMap(({ markdown, twin }) => [`<!-- ${twin} -->\n`, markdown]);

/** Each heading, and the lines of /llms-full.txt, from 0, that are below it: the page's script reads the text there. */
function searchIndex(sources: readonly Source[]): string {
  let line = 0;
  const entries = sources.flatMap(({ path, title, page, markdown }) => {
    const first = line + 1;
    line = first + markdown.split("\n").length - 1;
    return page.headings.map((heading, index) => ({
      url: index === 0 ? path : `${path}#${heading.id}`,
      page: title,
      heading: heading.text,
      from: first + heading.line + 1,
      to: first + (page.headings[index + 1]?.line ?? markdown.split("\n").length - 1),
    }));
  });
  return JSON.stringify(entries);
}

async function filesBelow(root: string, folder: string): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true });
  return names.map((name) => posix.join(folder, name.replaceAll("\\", "/"))).sort();
}

/** Pages that the list has: of a folder below docs/ only the first. */
const listed = (sources: readonly Source[]): Source[] =>
  sources.filter(({ file }) => file.split("/").length < 3 || file.endsWith("/README.md"));

function pagesOf(sources: readonly Source[], pictures: readonly string[]): SiteFile[] {
  const paths = new Map([
    ...sources.map(({ file, path }): [string, string] => [file, path]),
    ...pictures.map((file): [string, string] => [file, `/${file}`]),
  ]);
  return sources.flatMap((source) => {
    const target = (href: string): string | undefined => {
      if (isAbsolute(href)) return href;
      const { file, anchor } = resolveLink(source.file, href);
      const path = paths.get(file);
      return path && (anchor ? `${path}#${anchor}` : path);
    };
    const { path, twin, title, page, markdown } = source;
    const html = layOut({ title, path, twin, content: page.render(target), headings: page.headings }, listed(sources));
    return [
      { path, type: HTML, content: html },
      { path: twin, type: MARKDOWN, content: markdown },
    ];
  });
}

/**
 * @param root the folder that has README.md and docs/
 * @returns files in the order in which they are packed
 * @throws Error that names file and line of every link that leads nowhere
 */
export async function buildSite(root: string): Promise<SiteFile[]> {
  const below = await filesBelow(root, "docs");
  const files = [FIRST, ...below.filter((file) => file.endsWith(".md"))];
  const sources = inOrder(await Promise.all(files.map((file) => readSource(root, file))));
  const broken = brokenLinks(root, sources);
  if (broken.length > 0) throw new Error(`links that lead nowhere:\n${broken.join("\n")}`);

  const pictures = below.filter((file) => file.endsWith(".svg"));
  const here = dirname(fileURLToPath(import.meta.url));
  const own = (name: string) => readFile(join(here, name), "utf8");
  const missing = "<h1>Not found</h1>\n<p>There is no such page. The list has those that there are.</p>";
  return [
    ...pagesOf(sources, pictures),
    ...(await Promise.all(
      pictures.map(async (file) => ({
        path: `/${file}`,
        type: PICTURE,
        content: await readFile(join(root, file), "utf8"),
      })),
    )),
    {
      path: "/docs/404",
      type: HTML,
      content: layOut({ title: "Not found", path: "", content: missing, headings: [] }, listed(sources)),
    },
    { path: "/docs/search.json", type: "application/json", content: searchIndex(sources) },
    { path: "/docs/style.css", type: "text/css; charset=utf-8", content: await own("style.css") },
    { path: "/docs/script.js", type: "text/javascript; charset=utf-8", content: await own("script.js") },
    { path: "/llms.txt", type: MARKDOWN, content: llmsText(sources) },
    {
      path: "/llms-full.txt",
      type: MARKDOWN,
      content: fullText(sources),
    },
  ];
}
