// The texts that tasks are made of, and the one that compression is calibrated on, which no task reads. The digest of the text is the data
// digest of a score: other text, other score.

export interface Source {
  /** For messages. */
  readonly title: string;
  /** Path from the project's root, or, where the project may not hold it, from the folder that FRANKEN_DATA names. */
  readonly file: string;
  /** Shipped with the project, gzip; otherwise the file is the text itself. */
  readonly shipped: boolean;
  /** Of the text, unpacked. */
  readonly sha256: string;
  /** Where a text that is not shipped can be had: an archive, its digest and the text's name in it. */
  readonly download?: { readonly url: string; readonly sha256: string; readonly entry: string };
}

export const SOURCES = {
  hellaswag: {
    title: "HellaSwag validation",
    file: "data/hellaswag.jsonl.gz",
    shipped: true,
    sha256: "52c5234b95986283ca94534f5af6ac3a33136299d5eb320037e07b65f184816f",
  },
  triviaqa: {
    title: "TriviaQA rc.wikipedia.nocontext validation",
    file: "data/triviaqa.jsonl.gz",
    shipped: true,
    sha256: "820b2dc28ca5d89db74d0a4dd1bdf576d822d4d6b76aceeda155d2834a302548",
  },
  "wiki-heldout": {
    title: "held-out Wikipedia articles",
    file: "data/wiki-heldout.jsonl.gz",
    shipped: true,
    sha256: "c734bf4340a0ecc36babd1589002648ebab3a632288b61f43022f2202721e9af",
  },
  calibration: {
    title: "web pages of C4 for calibration",
    file: "data/calibration.jsonl.gz",
    shipped: true,
    sha256: "9d9cdf1950032ffa276d9bc36b193acb56598cfee3433be3e30ae4a2568308f9",
  },
  wikitext2: {
    title: "WikiText-2 raw test",
    file: "wikitext2/wiki.test.raw",
    shipped: false,
    sha256: "173c87a53759e0201f33e0ccf978e510c2042d7f2cb78229d9a50d79b9e7dd08",
    download: {
      url: "https://huggingface.co/datasets/ggml-org/ci/resolve/927b3642933080f1b0e811e2f916e14c292992f9/wikitext-2-raw-v1.zip",
      sha256: "ef7edb566e3e2b2d31b29c1fdb0c89a4cc683597484c3dc2517919c615435a11",
      entry: "wikitext-2-raw/wiki.test.raw",
    },
  },
} as const satisfies Record<string, Source>;

export type SourceId = keyof typeof SOURCES;
