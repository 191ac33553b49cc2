// A chat template whose functions on strings are Python's and see hidden characters as what they stand for: calls, filters and comparisons
// of strings are rewritten, after parsing, into calls of functions of ours.
import { Template } from "@huggingface/jinja";
import { comparisons, stringFunctions, type TemplateFunction } from "./strings.ts";

export interface ParsedTemplate {
  /** @param show gives the text that a string with hidden characters stands for */
  render(variables: Readonly<Record<string, unknown>>, show: (text: string) => string): string;
}

/** Names that no template can write. */
const nameOf = (kind: "string" | "operator", name: string): string => `${kind}.${name}`;
const METHODS = new Set(Object.keys(stringFunctions((text) => text)));
const OPERATORS = new Set(Object.keys(comparisons((text) => text)));
/** Filters that are methods, too. */
const FILTERS: Readonly<Record<string, string>> = { trim: "trim", replace: "replace" };

/** @throws Error saying why it does not parse */
export function parseTemplate(source: string): ParsedTemplate {
  const template = new Template(source);
  template.parsed = rewrite(template.parsed) as Template["parsed"];
  return {
    render: (variables, show) =>
      template.render({
        ...variables,
        ...named("string", stringFunctions(show)),
        ...named("operator", comparisons(show)),
      }),
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
  return callOf(copy) ?? copy;
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
