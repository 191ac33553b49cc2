// The HTML around a page: the header with the search, the list of pages, the page's own headings.
import MarkdownIt from "markdown-it";
import type { Heading } from "./markdown.ts";

const { escapeHtml } = new MarkdownIt().utils;

export interface Layout {
  readonly title: string;
  /** Where the page is served. */
  readonly path: string;
  /** Where its Markdown is served, of a page that has one. */
  readonly twin?: string;
  readonly content: string;
  readonly headings: readonly Heading[];
}

/** Of a page or of what is beside the pages: title and path. */
export interface Entry {
  readonly title: string;
  readonly path: string;
}

const SITE = "Franken Gateway";
const API: Entry = { title: "API viewer", path: "/docs/api" };

const item = ({ title, path }: Entry, current?: string): string =>
  `<li><a href="${escapeHtml(path)}"${path === current ? ' aria-current="page"' : ""}>${escapeHtml(title)}</a></li>`;

const headingsList = (headings: readonly Heading[]): string => {
  const shown = headings.filter(({ level }) => level === 2 || level === 3);
  if (shown.length < 2) return "";
  const items = shown.map(
    ({ level, text, id }) => `<li class="level-${level}"><a href="#${escapeHtml(id)}">${escapeHtml(text)}</a></li>`,
  );
  return `<nav id="headings" aria-label="On this page">
<p>On this page</p>
<ul>
${items.join("\n")}
</ul>
</nav>`;
};

/** @param pages all pages, in the order of the list */
export function layOut({ title, path, twin, content, headings }: Layout, pages: readonly Entry[]): string {
  const alternate = twin ? `\n<link rel="alternate" type="text/markdown" href="${escapeHtml(twin)}">` : "";
  const source = twin ? `\n<footer><a href="${escapeHtml(twin)}">This page as Markdown</a></footer>` : "";
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title === SITE ? title : `${title} – ${SITE}`)}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs/style.css">${alternate}
<script src="/docs/script.js" defer></script>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<header>
<button type="button" class="menu" popovertarget="pages">Pages</button>
<a class="site" href="/docs">${SITE}</a>
<search id="search" hidden>
<input type="search" placeholder="Search ( / )" aria-label="Search the pages" autocomplete="off" spellcheck="false">
<div id="results" hidden></div>
</search>
</header>
<nav id="pages" popover aria-label="Pages">
<ul>
${[...pages, API].map((entry) => item(entry, path)).join("\n")}
</ul>
</nav>
<main id="content" tabindex="-1">
${content}${source}
</main>
${headingsList(headings)}
</body>
</html>
`;
}
