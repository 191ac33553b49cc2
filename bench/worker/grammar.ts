// Decodes under a grammar in workerd, on the real engine, and times each part of a token; locally the clock runs during compute.
import catalogueJson from "../../dist/catalogue.json";
import plain from "../../dist/kernels/plain.wasm";
import relaxed from "../../dist/kernels/relaxed.wasm";
import { createMatcher, type VocabularyTree } from "../../src/engine/grammar/index.ts";
import { createSampler } from "../../src/engine/sampling/index.ts";
import type { Engine } from "../../src/engine/types.ts";
import { createWasmEngine } from "../../src/engine/wasm/index.ts";
import type { OpenFile } from "../../src/engine/weights.ts";
import { compileGrammar, type OutputFormat } from "../../src/grammar/index.ts";
import { createPace } from "../../src/replica/pace.ts";
import { vocabularyOf } from "../../src/replica/vocabulary.ts";
import { compileCatalogue } from "../../src/variants/catalogue.ts";
import { catalogueFileSchema } from "../../src/variants/catalogue-file.ts";

export interface GrammarRun {
  readonly variant: string;
  readonly format: OutputFormat;
  readonly promptIds: readonly number[];
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

/** Milliseconds; an array has one entry a token. */
export interface GrammarTimes {
  readonly vocabulary: number;
  readonly compile: number;
  readonly states: number;
  readonly grammarBytes: number;
  readonly vocabularyBytes: number;
  /** The engine's step; the first is the end of the prompt. */
  readonly step: number[];
  /** Sampling without a mask. */
  readonly free: number[];
  readonly mask: number[];
  /** Sampling with it. */
  readonly masked: number[];
  readonly accept: number[];
  readonly ids: number[];
}

interface Env {
  readonly WEIGHTS: Fetcher;
}

const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));
let engine: Promise<Engine> | undefined;
let vocabulary: VocabularyTree | undefined;
let vocabularyMs = 0;

export default {
  async fetch(request, env) {
    const { variant, format, promptIds, maxTokens, temperature, seed } = await request.json<GrammarRun>();
    const plan = catalogue.get(variant)?.plan;
    if (!plan) return new Response(`no variant ${variant}`, { status: 404 });
    const open: OpenFile = async ({ file }) =>
      (await env.WEIGHTS.fetch(`https://assets.invalid/${file}`)).body ?? undefined;
    engine ??= createWasmEngine({ base: plan.base, open, modules: { relaxed, plain } });
    const ready = await engine;
    if (!vocabulary) {
      const started = performance.now();
      vocabulary = await vocabularyOf(plan.base, env);
      vocabularyMs = performance.now() - started;
    }
    const started = performance.now();
    const grammar = compileGrammar(format);
    const compile = performance.now() - started;
    const endIds = plan.base.config.eosTokenIds;
    const matcher = createMatcher({ grammar, vocabulary, endIds });
    const sampler = createSampler({ temperature, seed });
    const free = createSampler({ temperature, seed });
    const pace = createPace(64e6);
    const times = { step: [], free: [], mask: [], masked: [], accept: [], ids: [] } as Record<string, number[]>;
    const timed = <T>(part: string, work: () => T): T => {
      const before = performance.now();
      const result = work();
      times[part]?.push(performance.now() - before);
      return result;
    };

    const sequence = await ready.open(plan, promptIds.length + maxTokens);
    try {
      let tokens: readonly number[] = promptIds.slice(0, ready.maxChunk);
      let prefilled = tokens.length;
      for (let made = 0; made < maxTokens; ) {
        const before = performance.now();
        const [logits] = await ready.step([{ sequence, tokens, logits: "last" }], pace);
        if (prefilled < promptIds.length) {
          tokens = promptIds.slice(prefilled, prefilled + ready.maxChunk);
          prefilled += tokens.length;
          continue;
        }
        if (!logits) throw new Error("the engine gave no logits");
        times.step?.push(performance.now() - before);
        const mask = timed("mask", () => matcher.mask());
        // Whichever is drawn first warms the caches for the other.
        if (made % 2 === 0) timed("free", () => free.next(logits, sequence.length));
        const { id } = timed("masked", () => sampler.next(logits, sequence.length, mask));
        if (made % 2 === 1) timed("free", () => free.next(logits, sequence.length));
        made++;
        if (endIds.includes(id)) break;
        timed("accept", () => matcher.accept(id));
        times.ids?.push(id);
        if (matcher.over) break;
        tokens = [id];
      }
    } finally {
      sequence.close();
    }
    const grammarBytes = grammar.offsets.byteLength + grammar.edges.byteLength;
    const { nodes, ids, plain: words } = vocabulary;
    const vocabularyBytes = nodes.byteLength + ids.byteLength + words.byteLength;
    const states = grammar.offsets.length - 1;
    return Response.json({ vocabulary: vocabularyMs, compile, states, grammarBytes, vocabularyBytes, ...times });
  },
} satisfies ExportedHandler<Env>;
