// A task turns documents into requests to a scorer, and the answers into a result per item. It needs text in and out, so it runs where
// the tokenizer is: offline, or in the gateway.

import type { ScoreAnswer, ScoreRequest } from "../src/scoring/index.ts";
import type { ItemResult, MetricRule } from "./metrics.ts";
import type { SourceId } from "./sources.ts";

export interface TaskTools {
  /** Encodes text; no special tokens are added, one that the text spells becomes that token. A context begins with `startIds`. */
  encode(text: string): Promise<readonly number[]>;
  /** A user's turn under the chat template, up to where the answer begins. @throws ChatTemplateError without a template */
  encodeChat(user: string): Promise<readonly number[]>;
  /** The text of these tokens; special tokens have none. */
  decode(ids: readonly number[]): string;
  /** What the model was trained to have before every text: the bos token or nothing. */
  readonly startIds: readonly number[];
  /** Stands where a text begins that has nothing before it: the checkpoint's bos token, or eos where it has none. */
  readonly prefixId: number;
  /** Tokens that end the model's turn. */
  readonly endIds: readonly number[];
  /** All tokens whose text holds one of these strings. */
  idsWith(strings: readonly string[]): readonly number[];
}

/** One item, ready to be asked. */
export interface Item {
  readonly requests: readonly ScoreRequest[];
  /** @param answers one per request, in order */
  read(answers: readonly ScoreAnswer[]): ItemResult;
}

/** What a file of tasks/ says of one task. */
export interface TaskDefinition<Document> {
  readonly id: string;
  readonly title: string;
  /** Raise it with any change to how items are prepared or read: results of another version are other results. */
  readonly version: number;
  readonly source: SourceId;
  readonly metrics: readonly MetricRule[];
  /** Whether its requests compare a variant with its base. Default: false. */
  readonly comparesWithBase?: boolean;
  /** The source's text as documents; an item's number is its document's place. */
  documents(text: string, tools: TaskTools): readonly Document[] | Promise<readonly Document[]>;
  item(document: Document, tools: TaskTools): Item | Promise<Item>;
}

export interface Task extends Pick<TaskDefinition<never>, "id" | "title" | "version" | "source" | "metrics"> {
  readonly comparesWithBase: boolean;
  /** @returns one function per item that makes it ready: encoding all items at once would hold up the event loop */
  load(text: string, tools: TaskTools): Promise<readonly (() => Promise<Item>)[]>;
}

export function defineTask<Document>(definition: TaskDefinition<Document>): Task {
  const { id, title, version, source, metrics, comparesWithBase = false } = definition;
  return {
    id,
    title,
    version,
    source,
    metrics,
    comparesWithBase,
    async load(text, tools) {
      const documents = await definition.documents(text, tools);
      return documents.map((document) => async () => definition.item(document, tools));
    },
  };
}

/** Documents of a JSON lines text. */
export const jsonLines = <T>(text: string): T[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as T);

/** @throws Error when the answer is to another kind of request */
export const likelihoodsOf = (answer: ScoreAnswer | undefined): readonly number[] =>
  answerOf("likelihood", answer).logLikelihoods;

/** @throws Error when the answer is to another kind of request */
export function answerOf<T extends ScoreAnswer["type"]>(
  type: T,
  answer: ScoreAnswer | undefined,
): Extract<ScoreAnswer, { type: T }> {
  if (answer?.type !== type) throw new Error(`the scorer gave no answer to a request for ${type}`);
  return answer as Extract<ScoreAnswer, { type: T }>;
}
