// KV pages that outlive their sequence: a prompt that begins like an earlier one goes on from what was computed then. Pages hang in a
// tree, one level a page, each under the tokens that it holds; what no sequence uses is given up, the least recently used first, when
// memory is wanted for something else (as vLLM's automatic prefix caching and SGLang's RadixAttention, arXiv 2312.07104, do it).
import type { Plan } from "../../variants/index.ts";
import type { PromptLikelihoods } from "../types.ts";
import type { Memory } from "./memory.ts";
import { PAGE_TOKENS } from "./shapes.ts";

/** A page of each KV head, which together hold the keys and values of `PAGE_TOKENS` tokens. */
export interface PrefixPage {
  /** Address by KV head. */
  readonly pages: Uint32Array;
  /** Sequences that hold it: then it is never given up, nor is a page that leads to it. */
  users: number;
  /**
   * Rows after each token from the one before the page's first to the one before its last, which say how likely the page's tokens were;
   * the first page has none for its first token.
   */
  likelihoods: PromptLikelihoods | undefined;
}

/** The prefixes that one client may share under one plan. */
export interface PrefixTree {
  /** The pages that hold the beginning of `tokens`, at most; with `top` only as far as likelihoods with as many likeliest are kept. */
  find(tokens: readonly number[], top: number | undefined): PrefixPage[];
  /** The same, held as a sequence holds them: the caller lets them go by `users`. */
  pin(tokens: readonly number[], top: number | undefined): PrefixPage[];
  /**
   * Adds the page after `before`, and takes over its memory with the promise on it.
   * @returns what is there now: an equal page that was there already is kept, and then the caller's stays the caller's
   */
  add(before: PrefixPage | undefined, tokens: readonly number[], pages: Uint32Array): PrefixPage;
}

export interface Prefixes {
  /** @param scope only sequences of the same scope share anything */
  of(plan: Plan, scope: string): PrefixTree;
  /** Gives up the least recently used page that no sequence uses. @returns false when there is none */
  evict(): boolean;
  /** Units that giving up all pages would free that no sequence uses. */
  readonly evictable: number;
}

interface Node extends PrefixPage {
  readonly key: string;
  readonly below: Map<string, Node>;
  /** The map that the node is in. */
  readonly siblings: Map<string, Node>;
}

export function createPrefixes(memory: Memory): Prefixes {
  const trees = new WeakMap<Plan, Map<string, PrefixTree>>();
  /** All pages, the least recently used first. */
  const recent = new Set<Node>();
  const use = (node: Node): void => {
    recent.delete(node);
    recent.add(node);
  };

  function createTree(): PrefixTree {
    const first = new Map<string, Node>();
    const tree: PrefixTree = {
      find(tokens, top) {
        const found: Node[] = [];
        let level = first;
        for (let at = 0; at + PAGE_TOKENS <= tokens.length; at += PAGE_TOKENS) {
          const node = level.get(keyOf(tokens, at));
          if (!node || (top !== undefined && !(node.likelihoods && node.likelihoods.top >= top))) break;
          found.push(node);
          level = node.below;
        }
        // From the end, so that a page that leads to others is newer than they are.
        for (const node of found.toReversed()) use(node);
        return found;
      },
      pin(tokens, top) {
        const found = tree.find(tokens, top);
        for (const page of found) page.users++;
        return found;
      },
      add(before, tokens, pages) {
        const siblings = before ? (before as Node).below : first;
        const key = keyOf(tokens, 0);
        const known = siblings.get(key);
        if (known) return known;
        const node: Node = { key, pages, siblings, below: new Map(), users: 0, likelihoods: undefined };
        siblings.set(key, node);
        recent.add(node);
        if (before) use(before as Node);
        return node;
      },
    };
    return tree;
  }

  return {
    of(plan, scope) {
      const own = trees.get(plan) ?? new Map<string, PrefixTree>();
      trees.set(plan, own);
      const tree = own.get(scope) ?? createTree();
      own.set(scope, tree);
      return tree;
    },
    get evictable() {
      let units = 0;
      for (const { users, pages } of recent) if (users === 0) units += pages.length;
      return units;
    },
    evict() {
      for (const node of recent) {
        if (node.users > 0 || node.below.size > 0) continue;
        recent.delete(node);
        node.siblings.delete(node.key);
        for (const page of node.pages) memory.give(page);
        memory.forgo(node.pages.length);
        return true;
      }
      return false;
    },
  };
}

const keyOf = (tokens: readonly number[], at: number): string => tokens.slice(at, at + PAGE_TOKENS).join(" ");
