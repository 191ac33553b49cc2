// A Markdown source as a page: its HTML, its headings with the anchors that GitHub gives them, and
// its links. HTML in a source is shown as text, except line breaks; comments are left out.
import MarkdownIt, { type Token } from "markdown-it";

export interface Heading {
  readonly level: number;
  readonly text: string;
  /** The anchor, unique within the page. */
  readonly id: string;
  /** Its line of the source, from 0. */
  readonly line: number;
}

/** A link or picture, at a line of the source that counts from 1. */
export interface Link {
  readonly href: string;
  readonly line: number;
}

export interface Page {
  /** Its first heading, or the name that it was parsed under. */
  readonly title: string;
  /** The first sentence of its first paragraph, as plain text. */
  readonly summary: string;
  readonly headings: readonly Heading[];
  readonly links: readonly Link[];
  /** @param target where a link leads on the site; undefined where the site does not have it */
  render(target: (href: string) => string | undefined): string;
}

/** What a link to a file that the site does not have becomes: its text. */
const PLAIN = "span";

const parser = new MarkdownIt({ html: true, linkify: true });
// Of what is no link in the source, only a whole URL becomes one, and not, say, the name of a file.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
const { escapeHtml } = parser.utils;

const asText = (tokens: Token[], index: number): string => {
  const html = (tokens[index]?.content ?? "").replace(/<!--[\s\S]*?-->/g, "").trim();
  return /^<br\s*\/?>$/i.test(html) ? "<br>" : escapeHtml(html);
};
parser.renderer.rules.html_inline = asText;
parser.renderer.rules.html_block = (tokens, index) => {
  const text = asText(tokens, index);
  return text && `<p>${text}</p>\n`;
};
// A page's policy allows no style attributes, with which the library aligns cells.
for (const name of ["th_open", "td_open"]) {
  parser.renderer.rules[name] = (tokens, index) => {
    const token = tokens[index] as Token;
    const side = /text-align:(\w+)/.exec(String(token.attrGet("style") ?? ""))?.[1];
    return side ? `<${token.tag} class="${side}">` : `<${token.tag}>`;
  };
}
// What is wider than the page scrolls by itself, also for who has only a keyboard.
parser.renderer.rules.table_open = () => '<div class="table" role="group" aria-label="Table" tabindex="0"><table>\n';
parser.renderer.rules.table_close = () => "</table></div>\n";
for (const name of ["fence", "code_block"]) {
  parser.renderer.rules[name] = (tokens, index) =>
    `<pre tabindex="0"><code>${escapeHtml(tokens[index]?.content ?? "")}</code></pre>\n`;
}

/** GitHub's anchor of a heading, before it is made unique. */
const slug = (text: string): string =>
  text
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replaceAll(" ", "-");

const plainText = (inline: Token | undefined): string =>
  (inline?.children ?? [])
    .map((token) => {
      if (token.type === "text" || token.type === "code_inline" || token.type === "image") return token.content;
      return token.type.endsWith("break") || token.type === "html_inline" ? " " : "";
    })
    .join("")
    .replace(/\s+/g, " ")
    .trim();

function headingsOf(tokens: readonly Token[]): Map<Token, Heading> {
  const headings = new Map<Token, Heading>();
  const ids = new Set<string>();
  for (const [index, token] of tokens.entries()) {
    if (token.type !== "heading_open") continue;
    const text = plainText(tokens[index + 1]);
    const first = slug(text);
    let id = first;
    for (let count = 1; ids.has(id); count++) id = `${first}-${count}`;
    ids.add(id);
    headings.set(token, { level: Number(token.tag.slice(1)), text, id, line: token.map?.[0] ?? 0 });
  }
  return headings;
}

/** The tokens that lead somewhere, each with its line. */
function leadsOf(tokens: readonly Token[]): { token: Token; attribute: string; line: number }[] {
  const leads = [];
  let line = 1;
  for (const block of tokens) {
    // A cell's text says no line; its row does.
    if (block.map) line = block.map[0] + 1;
    let below = 0;
    for (const token of block.children ?? []) {
      if (token.type === "softbreak" || token.type === "hardbreak") below++;
      const attribute = token.type === "link_open" ? "href" : token.type === "image" ? "src" : undefined;
      if (attribute) leads.push({ token, attribute, line: line + below });
    }
  }
  return leads;
}

const sentenceOf = (text: string): string => /^.*?[.!?](?=\s|$)/.exec(text)?.[0] ?? text;

export function parsePage(source: string, name: string): Page {
  const tokens = parser.parse(source, {});
  const headings = headingsOf(tokens);
  const leads = leadsOf(tokens);
  const paragraph = tokens.findIndex(({ type, level }) => type === "paragraph_open" && level === 0);
  return {
    title: [...headings.values()][0]?.text ?? name,
    summary: paragraph < 0 ? "" : sentenceOf(plainText(tokens[paragraph + 1])),
    headings: [...headings.values()],
    links: leads.map(({ token, attribute, line }) => ({ href: String(token.attrGet(attribute)), line })),
    render: (target) => {
      const page = parser.parse(source, {});
      for (const { token, attribute } of leadsOf(page)) {
        const href = target(String(token.attrGet(attribute)));
        if (href !== undefined) token.attrSet(attribute, href);
        else if (token.type === "link_open") makePlain(page, token);
      }
      for (const [token, { id, text }] of headingsOf(page)) addAnchor(page, token, id, text);
      return parser.renderer.render(page, parser.options, {});
    },
  };
}

/** Makes a link's two tags those of plain text. */
function makePlain(page: readonly Token[], open: Token): void {
  const tokens = page.find(({ children }) => children?.includes(open))?.children ?? [];
  const close = tokens.slice(tokens.indexOf(open)).find(({ type }) => type === "link_close");
  open.attrs = [
    ["class", "file"],
    ["title", `${open.attrGet("href")}, in the repository`],
  ];
  for (const token of [open, close]) if (token) token.tag = PLAIN;
}

function addAnchor(page: readonly Token[], heading: Token, id: string, text: string): void {
  heading.attrSet("id", id);
  const inline = page[page.indexOf(heading) + 1] as Token;
  const anchor = new (heading.constructor as typeof Token)("html_inline", "", 0);
  anchor.type = "anchor";
  anchor.meta = { id, text };
  inline.children?.push(anchor);
}
parser.renderer.rules.anchor = (tokens, index) => {
  const { id, text } = tokens[index]?.meta as { id: string; text: string };
  const label = escapeHtml(`Link to “${text}”`);
  return ` <a class="anchor" href="#${escapeHtml(id)}" aria-label="${label}">#</a>`;
};
