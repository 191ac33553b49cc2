// Entry of the gateway Worker; wiring only.
import catalogueJson from "../dist/catalogue.json";
import tokenizersJson from "../dist/tokenizers.json";
import { createApp } from "./app.ts";
import type { GatewayEnv } from "./env.ts";
import type { App } from "./routes/index.ts";
import { createQualityBook } from "./routing/index.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer/index.ts";
import type { BaseModel } from "./variants/base.ts";
import { compileCatalogue } from "./variants/catalogue.ts";
import { catalogueFileSchema } from "./variants/catalogue-file.ts";

const catalogue = compileCatalogue(catalogueFileSchema.parse(catalogueJson));

const tokenizers = new Map<string, Tokenizer>();

/** Made when it is first asked for, which takes some 100 ms. */
function tokenizerOf({ id }: BaseModel): Tokenizer {
  const tokenizer = tokenizers.get(id) ?? createTokenizer(tokenizersJson[id as keyof typeof tokenizersJson]);
  tokenizers.set(id, tokenizer);
  return tokenizer;
}

/** Made by the isolate's first request: bindings come with it. */
let app: App | undefined;

function wire(env: GatewayEnv): App {
  const deadlineMs = Number(env.REQUEST_DEADLINE_MS);
  if (!(deadlineMs > 0))
    throw new Error(`REQUEST_DEADLINE_MS is ${env.REQUEST_DEADLINE_MS}; it must be a number above 0`);
  const quantile = Number(env.ROUTING_QUANTILE);
  if (!(quantile > 0.5 && quantile < 1))
    throw new Error(`ROUTING_QUANTILE is ${env.ROUTING_QUANTILE}; it must be a number above 0.5 and below 1`);
  const [first] = catalogue.keys();
  return createApp({
    catalogue,
    routing: {
      store: env.ROUTER.getByName("router"),
      qualities: createQualityBook([], first ?? ""),
      quarantined: () => new Set(),
      quantile,
    },
    replicaOf: (baseId) => env.REPLICA.getByName(baseId),
    tokenizerOf,
    apiKeys: env.API_KEYS ?? "",
    deadlineMs,
  });
}

export { RouterObject } from "./routing/router-object.ts";

export default {
  fetch(request: Request, env: GatewayEnv, context: ExecutionContext) {
    app ??= wire(env);
    return app.fetch(request, env, context);
  },
};
