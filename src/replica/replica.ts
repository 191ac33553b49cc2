// The Durable Object that owns an engine: runs generations in batches and streams their tokens to the gateway.
import { DurableObject } from "cloudflare:workers";
import { type Batcher, createBatcher } from "../engine/batch.ts";
import type { Engine } from "../engine/types.ts";
import { compileCatalogue } from "../variants/catalogue.ts";
import type { CatalogueFile } from "../variants/catalogue-file.ts";
import type { Plan } from "../variants/plan.ts";
import { compareAnswer } from "./compare.ts";
import { type EngineKind, engineFor, type LoadingEngine, type ReplicaEnv } from "./engine.ts";
import { type Ready, type StreamedGeneration, streamGeneration } from "./generation.ts";
import { MAX_RUNNING } from "./limits.ts";
import { measureItem } from "./measure.ts";
import { createPace } from "./pace.ts";
import type {
  CompareReply,
  CompareRequest,
  GenerateRequest,
  MeasureReply,
  MeasureRequest,
  Replica,
  ReplicaStatus,
} from "./protocol.ts";
import { createWorkShare, shadowShare, type WorkShare } from "./share.ts";
import { vocabularyOf } from "./vocabulary.ts";

interface AtWork {
  readonly batcher: Batcher;
  /** What comparing variants may take. */
  readonly share: WorkShare;
}

/** One per engine, shared by the isolate's Durable Objects as the engine is. */
const atWork = new WeakMap<Engine, AtWork>();

function atWorkOn(engine: Engine, kind: EngineKind, env: ReplicaEnv): AtWork {
  const known = atWork.get(engine);
  if (known) return known;
  const share = createWorkShare(shadowShare(env.SHADOW_SHARE));
  const pace = createPace(kind.paceMultiplyAdds);
  const made = { share, batcher: createBatcher({ engine, pace, maxRunning: MAX_RUNNING, onWork: share.earn }) };
  atWork.set(engine, made);
  return made;
}

/** Nothing is reachable from outside: the gateway calls the Durable Object. */
export const notFound = (): Response => new Response("not found", { status: 404 });

/**
 * Makes the Durable Object's class.
 * @param file dist/catalogue.json, as the build checked it
 */
export function createReplicaClass(file: CatalogueFile, kind: EngineKind) {
  const catalogue = compileCatalogue(file);
  const load = (baseId: string, env: ReplicaEnv): LoadingEngine => {
    const base = file.bases.find((candidate) => candidate.id === baseId);
    if (!base) throw new Error(`this replica does not hold ${baseId}`);
    return engineFor(base, kind, env);
  };
  const capacitiesOf = (engine: Engine, baseId: string): Record<string, number> =>
    Object.fromEntries(
      [...catalogue].flatMap(([id, { plan }]) => (plan.base.id === baseId ? [[id, engine.capacityOf(plan)]] : [])),
    );
  const planOf = (variant: string): Plan => {
    const plan = catalogue.get(variant)?.plan;
    if (!plan) throw new Error(`this replica does not serve ${variant}`);
    return plan;
  };
  return class extends DurableObject<ReplicaEnv> implements Replica {
    readonly #running = new Map<string, StreamedGeneration>();

    async status(baseId: string): Promise<ReplicaStatus> {
      const { loaded, error, progress } = load(baseId, this.env);
      const batcher = loaded && atWork.get(loaded)?.batcher;
      return {
        state: loaded ? "ready" : error ? "failed" : "loading",
        progress,
        error: error?.message,
        engine: loaded?.name ?? "",
        digest: loaded?.digest ?? "",
        residentBytes: loaded?.residentBytes() ?? 0,
        queued: batcher?.queued ?? 0,
        running: batcher?.running ?? 0,
        ...(loaded ? { capacities: capacitiesOf(loaded, baseId) } : {}),
      };
    }

    async generate(request: GenerateRequest): Promise<ReadableStream<Uint8Array>> {
      const { requestId } = request;
      const generation = streamGeneration({
        request,
        ready: this.#readyToGenerate(request),
        log: (entry) => console.log(JSON.stringify(entry)),
        onOver: () => this.#running.delete(requestId),
      });
      this.#running.set(requestId, generation);
      return generation.readable;
    }

    async switchVariant(requestId: string, variant: string): Promise<boolean> {
      const plan = catalogue.get(variant)?.plan;
      const generation = this.#running.get(requestId);
      if (!plan || !generation) return false;
      return generation.switchPlan(plan).then(
        () => true,
        () => false,
      );
    }

    async measure(request: MeasureRequest): Promise<MeasureReply> {
      const { plan, engine, batcher } = await this.#ready(request);
      return measureItem({ plan, engine, batcher, requests: request.requests });
    }

    async compare(request: CompareRequest): Promise<CompareReply> {
      const ready = await this.#ready(request);
      const reference = planOf(request.reference);
      if (reference.base.id !== ready.plan.base.id) {
        throw new Error(`${request.reference} and ${request.variant} are variants of different bases`);
      }
      return compareAnswer({ ...ready, reference, request });
    }

    async #ready({ variant }: { readonly variant: string }) {
      const plan = planOf(variant);
      const engine = await load(plan.base.id, this.env).engine;
      return { plan, engine, ...atWorkOn(engine, kind, this.env) };
    }

    async #readyToGenerate(request: GenerateRequest): Promise<Ready> {
      const ready = await this.#ready(request);
      return { ...ready, vocabulary: request.grammar && (await vocabularyOf(ready.plan.base, this.env)) };
    }
  };
}
