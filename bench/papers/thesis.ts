import { BASE, compress, digits, type Figures, type Paper, percent, type Row } from "./paper.ts";

/** What it calls N:M prunes N of every M weights; `franken compress wanda` takes how many stay. */
const WIDTHS: Readonly<Record<string, string>> = { "1:8": "7:8", "2:4": "2:4", "4:8": "4:8", "1:16": "15:16" };

const nameOf = (width: string): string => width.replace(":", "-");

const depth = (count: number): Row => {
  const variant = `thesis-depth-${count}`;
  const command = `depth --criterion perplexity --target block --remove ${count}`;
  return { label: `depth ${count}`, variant, make: [compress(variant, command)] };
};

const width = (ratio: string): Row => {
  const variant = `thesis-width-${nameOf(ratio)}`;
  return { label: `width ${ratio}`, variant, make: [compress(variant, `wanda --pattern ${WIDTHS[ratio]}`)] };
};

const both = (count: number, ratio: string): Row => {
  const from = depth(count);
  const variant = `${from.variant}-width-${nameOf(ratio)}`;
  const command = `wanda --from ${from.variant} --pattern ${WIDTHS[ratio]}`;
  return {
    label: `${from.label} + width ${ratio}`,
    variant,
    make: [...(from.make ?? []), compress(variant, command)],
  };
};

/**
 * Recovered by an adapter of rank 8 on q, k, v and o, which training makes; then at 4 bits, then
 * with EoRA.
 */
const recovered = ({ label, variant }: Row): Row[] => {
  const [lora, bits, eora] = ["lora", "lora-4-bits", "lora-eora"].map((name) => `${variant}-${name}`) as [
    string,
    string,
    string,
  ];
  const quantize = compress(bits, `gptq --from ${lora} --bits 4 --block 64`);
  return [
    { label: `${label} + LoRA`, variant: lora },
    { label: `${label} + LoRA, 4 bits`, variant: bits, make: [quantize] },
    {
      label: `${label} + LoRA, 4 bits, EoRA`,
      variant: eora,
      make: [quantize, compress(eora, `eora --from ${bits} --rank 32`)],
    },
  ];
};

const PRUNED = [...[2, 4, 6].map(depth), ...Object.keys(WIDTHS).map(width), both(2, "1:8")];

const figures = (closed: number, open: number, perplexity: number): Figures => ({
  closed: closed / 100,
  open: open / 100,
  perplexity,
});

export const thesis: Paper = {
  id: "thesis",
  title: "Depth, width, LoRA, quantization and EoRA in one pipeline",
  source: "https://github.com/AngeloGalav/masters_t",
  about:
    "Blocks go by the perplexity without them, the first 4 and the last 2 stay, and N of every M weights go by Wanda, as there. " +
    "The base's weights are 4 bits already. Closed-book answers of a model of this size are near zero: their standard error says how near. " +
    "Its open-book paragraphs are the shortest of TriviaQA's own search results; here they are of an extract of Wikipedia. " +
    "LoRA is trained there on WikiText-2's or TriviaQA's training text, which no training here reads: on Wikipedia without either.",
  columns: [
    {
      id: "perplexity",
      title: "WikiText-2 token perplexity, windows of 512",
      write: digits(2),
      kind: "score",
      task: "wikitext-512",
      metric: "token_perplexity",
      items: "0-591",
    },
    {
      id: "closed",
      title: "TriviaQA closed book, %",
      write: percent,
      kind: "score",
      task: "triviaqa-closed",
      metric: "correct",
      items: "0-1199",
    },
    {
      id: "open",
      title: "TriviaQA open book, %",
      write: percent,
      kind: "score",
      task: "triviaqa-open",
      metric: "correct",
      items: "0-1199",
    },
  ],
  rows: [{ label: "base", variant: BASE }, ...PRUNED.flatMap((row) => [row, ...recovered(row)])],
  references: [
    {
      model: "Llama-3.2-1B-Instruct",
      unpruned: figures(50.6, 81.8, 26.61),
      rows: {
        "depth 2": figures(20.0, 53.0, 55.24),
        "depth 4": figures(5.6, 14.2, 230.77),
        "depth 6": figures(2.0, 2.4, 2081),
        "width 1:8": figures(47.8, 80.8, 27.19),
        "width 2:4": figures(7.0, 17.2, 161.1),
        "width 4:8": figures(12.6, 42.4, 81.32),
        "width 1:16": figures(49.2, 81.8, 26.77),
        "depth 2 + width 1:8": figures(20.2, 53.6, 57.22),
        "depth 2 + LoRA": { perplexity: 21.34 },
        "width 1:8 + LoRA": figures(47.8, 80.8, 15.7),
        "width 1:8 + LoRA, 4 bits": figures(39.0, 74.8, 16.85),
        "width 4:8 + LoRA": figures(17.0, 51.1, 26.04),
        "width 4:8 + LoRA, 4 bits": figures(15.7, 45.3, 27.4),
        "depth 2 + width 1:8 + LoRA, 4 bits, EoRA": figures(22.3, 59.6, 22.98),
      },
    },
  ],
};
