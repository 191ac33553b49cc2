// Perplexity on Wikipedia articles that calibration leaves out. It ships with the project, so a perplexity can be measured anywhere,
// by the service too, and its words are as they were written: no detokenizer stands between the text and the model.
import { defineTask, jsonLines } from "../task.ts";
import { perTextMetrics, textItem, WINDOW } from "./text.ts";

export const wikiHeldout = defineTask<{ readonly text: string }>({
  id: "wiki-heldout",
  title: `held-out Wikipedia articles: word and byte perplexity, windows of ${WINDOW}`,
  version: 1,
  source: "wiki-heldout",
  metrics: perTextMetrics,
  documents: jsonLines,
  item: ({ text }, tools) => textItem(text, text, tools),
});
