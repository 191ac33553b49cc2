// How the API's description names its authentication.
import type { App } from "./context.ts";

const NAME = "apiKey";

/** The `security` of an endpoint that needs a key. */
export const bearer = { [NAME]: [] };

export function describeBearer(app: App): void {
  app.openAPIRegistry.registerComponent("securitySchemes", NAME, {
    type: "http",
    scheme: "bearer",
    description: "One of the keys in the gateway's secret `API_KEYS`.",
  });
}
