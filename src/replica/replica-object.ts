// The Durable Object that owns an engine: runs generations in batches and streams their tokens to the gateway.
import { DurableObject } from "cloudflare:workers";
import type { Engine } from "../engine/index.ts";
import { replicaSettings } from "../replica-settings.ts";
import { type Batcher, createBatcher, MAX_RUNNING } from "../scheduler/index.ts";
import type { BaseModel, CatalogueFile, Plan } from "../variants/index.ts";
import { compileCatalogue, sharingWith } from "../variants/index.ts";
import { compareAnswer } from "./compare.ts";
import {
  type EngineKind,
  type EngineUse,
  findEngine,
  type Group,
  type Place,
  type ReplicaEnv,
  useEngine,
} from "./engine.ts";
import { type Ready, type StreamedGeneration, streamGeneration } from "./generation.ts";
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
import { createWorkShare, type WorkShare } from "./share.ts";
import { statusFrame } from "./status-frame.ts";
import { vocabularyOf } from "./vocabulary.ts";

interface AtWork {
  readonly batcher: Batcher;
  /** What comparing variants may take. */
  readonly share: WorkShare;
}

/** One per engine. */
const atWork = new WeakMap<Engine, AtWork>();

function atWorkOn(engine: Engine, kind: EngineKind, env: ReplicaEnv): AtWork {
  const known = atWork.get(engine);
  if (known) return known;
  const share = createWorkShare(replicaSettings(env).shadowShare);
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
  const first = [...catalogue.values()][0]?.plan.base;
  /** The weight sets of the memory that one is in: all that share the first one's, or it alone. */
  const groupOf = (base: BaseModel, env: ReplicaEnv): Group => {
    if (!kind.holdsMany || !first) return [base];
    const shared = sharingWith(first, file.bases, replicaSettings(env).sharedBytes);
    return shared.includes(base) ? shared : [base];
  };
  const planOf = (variant: string): Plan => {
    const plan = catalogue.get(variant)?.plan;
    if (!plan) throw new Error(`this replica does not serve ${variant}`);
    return plan;
  };
  return class extends DurableObject<ReplicaEnv> implements Replica {
    /** By the generations' ids. */
    readonly #running = new Map<string, StreamedGeneration>();
    readonly #places = new Map<BaseModel, Place>();

    async status(weightsId: string, wake = true): Promise<ReplicaStatus> {
      const base = file.bases.find((candidate) => candidate.id === weightsId);
      if (!base) throw new Error(`this replica does not hold ${weightsId}`);
      return this.#statusOf(base, wake);
    }

    #statusOf(base: BaseModel, wake: boolean): ReplicaStatus {
      const place = this.#placeOf(base);
      const found = findEngine(base, place, wake);
      const { loaded, error, progress = 0 } = found ?? {};
      const batcher = loaded && atWork.get(loaded)?.batcher;
      return {
        state: loaded ? "ready" : error ? "failed" : found ? "loading" : "idle",
        progress,
        error: error?.message,
        engine: loaded?.name ?? "",
        digest: loaded?.digest ?? "",
        residentBytes: loaded?.residentBytes() ?? 0,
        queued: batcher?.queued ?? 0,
        running: batcher?.running ?? 0,
        weights: place.group.map(({ id }) => id),
        ...(loaded ? { capacities: this.#capacities(loaded) } : {}),
      };
    }

    async generate(request: GenerateRequest): Promise<ReadableStream<Uint8Array>> {
      const { id, variant, grammar } = request;
      let use: EngineUse | undefined;
      const ready = async (): Promise<Ready> => {
        const plan = planOf(variant);
        use = useEngine(plan.base, this.#placeOf(plan.base));
        const { batcher } = atWorkOn(await use.engine, kind, this.env);
        return { plan, batcher, vocabulary: grammar && (await vocabularyOf(plan.base, this.env)) };
      };
      const generation = streamGeneration({
        request,
        ready: ready(),
        status: () => {
          const plan = catalogue.get(variant)?.plan;
          return plan && statusFrame(this.#statusOf(plan.base, false));
        },
        log: (entry) => console.log(JSON.stringify(entry)),
        onOver: () => {
          this.#running.delete(id);
          use?.release();
        },
      });
      this.#running.set(id, generation);
      return generation.readable;
    }

    async switchVariant(id: string, variant: string): Promise<boolean> {
      const plan = catalogue.get(variant)?.plan;
      const generation = this.#running.get(id);
      if (!plan || !generation) return false;
      return generation.switchPlan(plan).then(
        () => true,
        () => false,
      );
    }

    async measure({ variant, requests }: MeasureRequest): Promise<MeasureReply> {
      return this.#with(planOf(variant), (ready) => measureItem({ ...ready, requests }));
    }

    async compare(request: CompareRequest): Promise<CompareReply> {
      const plan = planOf(request.variant);
      const reference = planOf(request.reference);
      const place = this.#placeOf(plan.base);
      if (this.#placeOf(reference.base).group[0] !== place.group[0]) {
        const message = `${request.reference} and ${request.variant} are variants of weights that share no memory`;
        return { state: "failed", engine: "", digest: "", message };
      }
      return this.#with(reference, () => this.#with(plan, (ready) => compareAnswer({ ...ready, reference, request })));
    }

    #placeOf(base: BaseModel): Place {
      const made = this.#places.get(base) ?? {
        owner: this.ctx.id.toString(),
        group: groupOf(base, this.env),
        kind,
        env: this.env,
      };
      this.#places.set(base, made);
      return made;
    }

    /** Of all variants whose weights are there. */
    #capacities(engine: Engine): Record<string, number> {
      const isThere = ({ base }: Plan): boolean => findEngine(base, this.#placeOf(base), false)?.loaded === engine;
      return Object.fromEntries(
        [...catalogue].flatMap(([id, { plan }]) => (isThere(plan) ? [[id, engine.capacityOf(plan)]] : [])),
      );
    }

    /** Does work on a plan's weights, which stay loaded as long. */
    async #with<T>(plan: Plan, work: (ready: AtWork & { plan: Plan; engine: Engine }) => Promise<T>): Promise<T> {
      const use = useEngine(plan.base, this.#placeOf(plan.base));
      try {
        const engine = await use.engine;
        return await work({ plan, engine, ...atWorkOn(engine, kind, this.env) });
      } finally {
        use.release();
      }
    }
  };
}
