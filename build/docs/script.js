// Of every page: the search, and a button at each block of code that copies it. A page reads without it.

const MOST_RESULTS = 12;
const AROUND = 60;

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

/** What a reader sees of Markdown, nearly. */
const plain = (markdown) =>
  markdown
    .replace(/<!--.*?-->/g, " ")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/<br>|\|[-:| ]+\||[`*|>]/g, " ")
    .replace(/\\(.)/g, "$1")
    .replace(/\s+/g, " ")
    .trim();

/** The index says which lines of the one text are a section's. */
async function readSections() {
  const [index, text] = await Promise.all([
    fetch("/docs/search.json").then((response) => response.json()),
    fetch("/llms-full.txt").then((response) => response.text()),
  ]);
  const lines = text.split("\n");
  return index.map(({ url, page, heading, from, to }) => {
    const content = plain(lines.slice(from, to).join(" "));
    const lower = [heading, page, content].map((part) => part.toLowerCase());
    return { url, page, heading, content, lower };
  });
}

/** How well a section answers: its heading counts most, then its page's title. 0 if a word is nowhere. */
function scoreOf({ lower: [heading, page, content] }, words) {
  let score = 0;
  for (const word of words) {
    const times = content.split(word).length - 1;
    const inHeading = heading.includes(word);
    if (times === 0 && !inHeading && !page.includes(word)) return 0;
    score += (inHeading ? 20 : 0) + (page.includes(word) ? 8 : 0) + Math.min(times, 5);
  }
  return score;
}

function excerpt({ content, lower }, words) {
  const text = lower[2].length === content.length ? lower[2] : content;
  const [first] = words.map((word) => text.indexOf(word)).filter((at) => at >= 0);
  if (first === undefined) return [content.slice(0, 2 * AROUND)];
  const begin = Math.max(0, first - AROUND);
  const length = words.find((word) => text.startsWith(word, first)).length;
  return [
    (begin > 0 ? "…" : "") + content.slice(begin, first),
    make("mark", {}, content.slice(first, first + length)),
    `${content.slice(first + length, first + length + 2 * AROUND)}…`,
  ];
}

const search = document.getElementById("search");
const input = search.querySelector("input");
const results = search.querySelector("#results");
let sections;

async function show() {
  const query = input.value;
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  results.hidden = words.length === 0;
  if (results.hidden) return;
  sections ??= readSections();
  const found = (await sections)
    .map((section) => ({ section, score: scoreOf(section, words) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score);
  if (query !== input.value) return;
  const shown = found.slice(0, MOST_RESULTS).map(({ section }) => {
    const title = section.heading === section.page ? section.page : `${section.page}: ${section.heading}`;
    const link = make("a", { href: section.url }, title, make("small", {}, ...excerpt(section, words)));
    return make("li", {}, link);
  });
  const count = found.length === 1 ? "1 section" : `${found.length} sections`;
  results.replaceChildren(make("p", { role: "status" }, count), make("ul", {}, ...shown));
}

function move(step) {
  const stops = [input, ...results.querySelectorAll("a")];
  const next = stops[stops.indexOf(document.activeElement) + step];
  next?.focus();
}

search.hidden = false;
input.addEventListener("input", () => {
  show().catch(() => {
    sections = undefined;
    results.replaceChildren(make("p", { role: "status" }, "The search could not be loaded."));
  });
});
search.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && !results.hidden) {
    event.preventDefault();
    move(step);
  } else if (event.key === "Enter" && event.target === input) results.querySelector("a")?.click();
  else if (event.key === "Escape") {
    results.hidden = true;
    input.focus();
  }
});
search.addEventListener("click", (event) => {
  if (event.target.closest("a")) results.hidden = true;
});
document.addEventListener("click", (event) => {
  if (!search.contains(event.target)) results.hidden = true;
});
document.addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, textarea");
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
});

// The clipboard is there on https and on localhost only.
for (const block of navigator.clipboard ? document.querySelectorAll("pre") : []) {
  const button = make("button", { type: "button", className: "copy" }, "Copy");
  const frame = make("div", { className: "block" });
  block.replaceWith(frame);
  frame.append(block, button);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
