// A chat template whose functions on strings are Python's and see hidden characters as what they stand for: calls, filters and comparisons
// of strings are rewritten, after parsing, into calls of functions of ours. So is the beginning of what a template repeats, which counts
// what it is about to cost.
import { Template } from "@huggingface/jinja";
import type { Work } from "../work.ts";
import { comparisons, stringFunctions, type TemplateFunction } from "./strings.ts";

export interface TemplateVariables {
  readonly messages: readonly { readonly content: string }[];
  readonly [name: string]: unknown;
}

export interface ParsedTemplate {
  /**
   * @param show gives the text that a string with hidden characters stands for
   * @throws WorkLimitError when it takes more steps than there are
   */
  render(variables: TemplateVariables, show: (text: string) => string, work: Work): string;
}

/** Names that no template can write. */
const nameOf = (kind: "string" | "operator" | "work", name: string): string => `${kind}.${name}`;
const METHODS = new Set(Object.keys(stringFunctions((text) => text)));
const OPERATORS = new Set(Object.keys(comparisons((text) => text)));
/** Filters that are methods, too. */
const FILTERS: Readonly<Record<string, string>> = { trim: "trim", replace: "replace" };

/** Of handing a message to a template. */
const STEPS_PER_MESSAGE = 50;
/** Of beginning a turn of a loop, or the like. */
const STEPS_PER_BLOCK = 60;
const STEPS_PER_NODE = 4;
/** Of nodes: a filter makes a table of all that can be done to its value. */
const FILTER_WEIGHT = 10;
/** Of strings that a template's functions look at. */
const CHARACTERS_PER_STEP = 8;
const SPEND = nameOf("work", "spend");
/** Of lists that are gone through, as of all messages and their text. */
const MESSAGES_PER_STEP = 2;
const CHARACTERS_PER_LIST_STEP = 16;
/** Nodes with blocks, and the fields that hold them. */
const BLOCKS: Readonly<Record<string, readonly string[]>> = {
  For: ["body"],
  If: ["body", "alternate"],
  Macro: ["body"],
  CallStatement: ["body"],
};
const LIST_FILTERS = new Set(["join", "map", "rejectattr", "reverse", "selectattr", "sort", "tojson", "unique"]);

/** @throws Error saying why it does not parse */
export function parseTemplate(source: string): ParsedTemplate {
  const template = new Template(source);
  template.parsed = rewrite(template.parsed) as Template["parsed"];
  return {
    render(variables, show, work) {
      const { messages } = variables;
      work.spend(messages.length * STEPS_PER_MESSAGE);
      const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
      const listSteps = messages.length / MESSAGES_PER_STEP + characters / CHARACTERS_PER_LIST_STEP;
      const counted = (text: string): string => {
        work.spend(text.length / CHARACTERS_PER_STEP);
        return show(text);
      };
      return template.render({
        ...variables,
        ...named("string", stringFunctions(counted)),
        ...named("operator", comparisons(counted)),
        [SPEND](nodes: number, lists: number) {
          work.spend(STEPS_PER_BLOCK + nodes * STEPS_PER_NODE + lists * listSteps);
          // Written as nothing.
          return null;
        },
      });
    },
  };
}

/** @throws Error naming the chat template and why it does not parse */
export function checkTemplate(source: string): void {
  try {
    parseTemplate(source);
  } catch (error) {
    throw new Error(`its chat template does not parse: ${(error as Error).message}`);
  }
}

const named = (
  kind: "string" | "operator",
  functions: Readonly<Record<string, TemplateFunction>>,
): Record<string, TemplateFunction> =>
  Object.fromEntries(Object.entries(functions).map(([name, own]) => [nameOf(kind, name), own]));

/** As much of the library's nodes as is looked at. */
interface Node {
  readonly type: string;
  readonly [field: string]: unknown;
}

function rewrite(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(rewrite);
  if (node instanceof Map) return new Map([...node].map(([key, value]) => [rewrite(key), rewrite(value)]));
  if (typeof node !== "object" || node === null) return node;
  const copy = like(
    node as Node,
    Object.fromEntries(Object.entries(node).map(([field, value]) => [field, rewrite(value)])),
  );
  return callOf(copy) ?? countedBlocks(copy) ?? copy;
}

/** A node whose blocks begin by counting what they cost, where it has some. */
function countedBlocks(node: Node): Node | undefined {
  const blocks = BLOCKS[node.type];
  if (!blocks) return undefined;
  const counted = blocks.map((field) => {
    const block = (node[field] ?? []) as readonly unknown[];
    return [field, block.length > 0 ? [spendOn(block, node), ...block] : block];
  });
  return like(node, { ...node, ...Object.fromEntries(counted) });
}

/** A call that counts what a block costs once. */
function spendOn(block: readonly unknown[], node: Node): Node {
  const { nodes, lists } = sizeOf(block);
  const literal = (value: number): Node => like(node, { type: "IntegerLiteral", value });
  const callee = like(node, { type: "Identifier", value: SPEND });
  return like(node, { type: "CallExpression", callee, args: [literal(nodes), literal(lists)] });
}

function goesThroughList({ type, filter }: Node): boolean {
  if (type !== "FilterExpression") return type === "For" || type === "SliceExpression";
  const called = filter as Node;
  return LIST_FILTERS.has(identifierOf(called.type === "CallExpression" ? called.callee : called) ?? "");
}

/** Nodes within a block, without those of blocks in it, and how many of them go through a list. */
function sizeOf(value: unknown): { readonly nodes: number; readonly lists: number } {
  if (typeof value !== "object" || value === null) return { nodes: 0, lists: 0 };
  const { type = "" } = value as { readonly type?: string };
  const skipped = BLOCKS[type] ?? [];
  const within =
    value instanceof Map
      ? [...value].flat()
      : Object.entries(value)
          .filter(([field]) => !skipped.includes(field))
          .map(([, inner]) => inner);
  const sizes = within.map(sizeOf);
  return {
    nodes: sizes.reduce((sum, { nodes }) => sum + nodes, type === "FilterExpression" ? FILTER_WEIGHT : 1),
    lists: sizes.reduce((sum, { lists }) => sum + lists, goesThroughList(value as Node) ? 1 : 0),
  };
}

/** A node with other fields, and the prototype by which the library knows it. */
const like = (node: Node, fields: object): Node => Object.assign(Object.create(Object.getPrototypeOf(node)), fields);

/** A node as a call of one of our functions, where it is one. */
function callOf(node: Node): Node | undefined {
  const call = (name: string, args: readonly unknown[]): Node =>
    like(node, { type: "CallExpression", callee: like(node, { type: "Identifier", value: name }), args });
  if (node.type === "BinaryExpression") {
    const { value } = node.operator as { readonly value: string };
    return OPERATORS.has(value) ? call(nameOf("operator", value), [node.left, node.right]) : undefined;
  }
  if (node.type === "CallExpression") {
    const callee = node.callee as Node;
    const method = callee.type === "MemberExpression" && !callee.computed ? identifierOf(callee.property) : undefined;
    if (method === undefined || !METHODS.has(method)) return undefined;
    return call(nameOf("string", method), [callee.object, ...(node.args as readonly unknown[])]);
  }
  if (node.type === "FilterExpression") {
    const filter = node.filter as Node;
    const isCall = filter.type === "CallExpression";
    const method = FILTERS[identifierOf(isCall ? filter.callee : filter) ?? ""];
    if (method === undefined) return undefined;
    return call(nameOf("string", method), [node.operand, ...(isCall ? (filter.args as readonly unknown[]) : [])]);
  }
  return undefined;
}

const identifierOf = (identifier: unknown): string | undefined => {
  const { type, value } = identifier as Node;
  return type === "Identifier" ? (value as string) : undefined;
};
