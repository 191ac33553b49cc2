// Entry of the gateway Worker; wiring only.
import catalogueJson from "../dist/catalogue.json";
import samples from "../dist/samples.bin";
import recordedJson from "../dist/scores.json";
import tokenizersJson from "../dist/tokenizers.json";
import { createApp } from "./app.ts";
import { gatewaySettings, monitorSettings } from "./config.ts";
import type { GatewayEnv } from "./env.ts";
import { createExperiments, type Experiments, recordOutcomes } from "./experiments/live/index.ts";
import { createShadowQueueClass } from "./experiments/shadow/queue-object.ts";
import { createMonitor, createScoreboard, type Monitor, type RecordedFile } from "./monitor/index.ts";
import { createHomes } from "./replica/index.ts";
import { createResponseStore, type ResponseStore, type RunJob } from "./responses/index.ts";
import { createRunnerClass } from "./responses/runner-object.ts";
import { type App, runInBackground } from "./routes/index.ts";
import { createArchive, qualitiesOf } from "./routing/index.ts";
import { createServices } from "./services.ts";
import { createRecorder, type Recorder } from "./storage/index.ts";
import { createTokenizer, type Tokenizer, type TokenizerJson } from "./tokenizer/index.ts";
import type { BaseModel } from "./variants/index.ts";
import { catalogueFileSchema, checkpointOf, compileCatalogue, type Variant } from "./variants/index.ts";

const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));

const tokenizers = new Map<string, Tokenizer>();

/** Made when it is first asked for, which takes some 100 ms. */
function tokenizerOf(base: BaseModel): Tokenizer {
  const id = checkpointOf(base);
  const made = tokenizers.get(id);
  if (made) return made;
  const files: Record<string, TokenizerJson> = tokenizersJson;
  const tokenizer = createTokenizer(files[id] as TokenizerJson);
  tokenizers.set(id, tokenizer);
  // The file takes as much memory as what was made of it, and is not needed again.
  delete files[id];
  return tokenizer;
}

export { LimiterObject } from "./limits/limiter-object.ts";
export const ResponseRunnerObject = createRunnerClass<GatewayEnv>({
  run: (env, job, event) => wired(env).run(job, event),
  store(env) {
    const { store } = wired(env);
    if (!store) throw new Error("no D1 database is bound");
    return store;
  },
  lineOf: (env, keyId) => env.LIMITER.getByName(keyId),
  runnerOf: (env, id) => env.RESPONSES.getByName(id),
});
export const ShadowQueueObject = createShadowQueueClass<GatewayEnv>({
  replicaOf(env, variant) {
    const plan = catalogue.get(variant)?.plan;
    if (!plan) throw new Error(`${variant} is no longer served`);
    return wired(env).replicaOf(plan.base.id);
  },
  record: (env, outcomes) => recordOutcomes(wired(env).recorder, outcomes),
  log: (entry) => console.log(JSON.stringify(entry)),
});
export { RouterObject } from "./routing/router-object.ts";
export { RecordQueueObject } from "./storage/queue-object.ts";

const homesOf = (env: GatewayEnv) =>
  createHomes({
    byName: (name) => env.REPLICA.getByName(name),
    first: ([...catalogue.values()][0] as Variant).plan.base.id,
    now: Date.now,
  });

interface Gateway {
  readonly replicaOf: ReturnType<typeof homesOf>;
  readonly app: App;
  /** Makes the response of a background job. */
  readonly run: RunJob;
  readonly monitor: Monitor;
  readonly recorder: Recorder;
  /** Undefined where the deployment has no database. */
  readonly experiments: Experiments | undefined;
  /** Undefined where the deployment has no database. */
  readonly store: ResponseStore | undefined;
}

/** Made by the isolate's first event: bindings come with it. */
let gateway: Gateway | undefined;
const wired = (env: GatewayEnv): Gateway => (gateway ??= wire(env));

function wire(env: GatewayEnv): Gateway {
  const { deadlineMs, quantile, keepMs, apiKeys } = gatewaySettings(env);
  const log = (entry: object): void => console.log(JSON.stringify(entry));
  const replicaOf = homesOf(env);
  const shared = { catalogue, replicaOf, tokenizerOf, db: env.DB, now: Date.now, log };
  const scores = createScoreboard({ ...shared, recorded: recordedJson as RecordedFile });
  const recorder = createRecorder({ queue: () => env.RECORDS.getByName("records"), log });
  const routing = {
    store: () => env.ROUTER.getByName("router"),
    archive: createArchive(recorder, env.DB),
    qualities: qualitiesOf(scores.recorded, catalogue.keys()),
    quantile,
  };
  const store = env.DB && createResponseStore({ db: env.DB, keepMs, now: Date.now });
  const experiments =
    env.DB &&
    createExperiments({
      db: env.DB,
      recorder,
      now: Date.now,
      log,
      async whyNot(variant, waitUntil) {
        if (!catalogue.has(variant)) return { reason: "there is no such variant any more", since: 0 };
        return (await scores.loadQuarantines(waitUntil)).get(variant);
      },
    });
  const runnerOf = (id: string) => env.RESPONSES.getByName(id);
  const lineOf = (keyId: string) => env.LIMITER.getByName(keyId);
  const responses = store && { store, runnerOf, lineOf };
  const services = createServices({
    catalogue,
    replicaOf,
    tokenizerOf,
    scores,
    routing,
    responses,
    experiments,
    deadlineMs,
    shadowOf: (baseId) => env.SHADOW.getByName(baseId),
    storageFailing: () => recorder.failing,
    limitsOf: (keyId) => env.LIMITER.getByName(keyId),
    apiKeys,
  });
  return {
    replicaOf,
    store,
    experiments,
    recorder,
    app: createApp(services),
    run: runInBackground(services),
    monitor: createMonitor({ ...shared, scores, recorder, samples, settings: () => monitorSettings(env) }),
  };
}

export default {
  fetch(request: Request, env: GatewayEnv, context: ExecutionContext) {
    // Without bindings: what the app needs of them it was made with.
    return wired(env).app.fetch(request, {}, context);
  },

  /** A slice of measuring, as the triggers of wrangler.toml say, a look at the experiments, and what is due to be forgotten. */
  async scheduled(_: ScheduledController, env: GatewayEnv) {
    const { monitor, experiments, store } = wired(env);
    await Promise.all([monitor.slice(), experiments?.look(), store?.sweep()]);
  },
};
