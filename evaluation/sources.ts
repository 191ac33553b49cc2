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
  /** What a text that is not shipped is, for whoever has to bring it. */
  readonly origin?: string;
  /** Where a text that is not shipped is downloaded from: an archive, its digest and the text's name in it. */
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
  chats: {
    title: "chats that the base wrote, held for measuring",
    file: "data/chats.jsonl.gz",
    shipped: true,
    sha256: "e39329ab1383b1e542d0a9ad1d73136465668175dcad4b40395ef15a74f59f1a",
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
  "arc-easy": {
    title: "ARC-Easy test",
    file: "arc/arc_easy.jsonl",
    shipped: false,
    sha256: "d2d12e59543acf9a5ef6079634a72b30215e36c2fd4236fff3bc855d287b87f5",
    origin: "the test set of allenai/ai2_arc, ARC-Easy, as JSON lines with the fields choices, query, gold",
  },
  "arc-challenge": {
    title: "ARC-Challenge test",
    file: "arc/arc_challenge.jsonl",
    shipped: false,
    sha256: "1ae3aeedf1951d881cbd5c2e3a31e78a1993d251479afbe4cb413b6707244636",
    origin: "the test set of allenai/ai2_arc, ARC-Challenge, as JSON lines with the fields choices, query, gold",
  },
  truthfulqa: {
    title: "TruthfulQA",
    file: "truthfulqa/TruthfulQA.csv",
    shipped: false,
    sha256: "78c8a6b52e84bc2ece1a6ef45739c58e5dcb5fb891f3dfbf458835b24a518795",
    origin: "TruthfulQA.csv of https://github.com/sylinrl/TruthfulQA",
  },
  mmlu: {
    title: "MMLU test",
    file: "mmlu/mmlu_test.jsonl",
    shipped: false,
    sha256: "1df7771a6312b87e920c4ae1e5c0cc205164b20e231a637cd8f39accc51bc5f1",
    origin: "the test set of cais/mmlu, all, as JSON lines with the fields question, subject, choices, answer",
  },
  "triviaqa-open": {
    title: "TriviaQA questions with a paragraph for each",
    file: "triviaqa/open.jsonl",
    shipped: false,
    sha256: "54d4479c803eafd28b874d29cedfe5e94cd482b9f603ea2c8285b612d3c11b4b",
    origin: "what `npm run data -- FOLDER triviaqa-open` makes",
  },
} as const satisfies Record<string, Source>;

export type SourceId = keyof typeof SOURCES;
