// The door of the routes: adds every endpoint to the app.
import { describeBearer } from "./bearer.ts";
import { addChatRoutes } from "./chat.ts";
import { addCompletionRoutes } from "./completions.ts";
import type { AddRoutes } from "./context.ts";
import { addDescriptionRoutes } from "./description.ts";
import { addDocsRoutes } from "./docs.ts";
import { addExperimentRoutes } from "./experiments.ts";
import { addFeedbackRoutes } from "./feedback.ts";
import { addHealthRoutes } from "./health.ts";
import { addInputTokensRoutes } from "./input-tokens.ts";
import { addModelRoutes } from "./models.ts";
import { addResponseRoutes } from "./responses.ts";
import { addRoutingRoutes } from "./routing.ts";
import { addScoreRoutes } from "./scores.ts";
import { addStoredResponseRoutes } from "./stored-responses.ts";
import { addTokenizerRoutes } from "./tokenizer.ts";
import { addVariantRoutes } from "./variants.ts";

export { tellLimits } from "./admit.ts";
export { runInBackground } from "./background.ts";
export { drainBody } from "./body.ts";
export { type App, type AppEnv, type GatewayDeps, reportError } from "./context.ts";
export { ROUTING_HEADERS } from "./decision-headers.ts";
export { unservedEndpoint } from "./unserved.ts";
export { tellWarnings, WARNING_HEADER } from "./warning.ts";

const ROUTES: readonly AddRoutes[] = [
  addChatRoutes,
  addCompletionRoutes,
  addTokenizerRoutes,
  addResponseRoutes,
  addInputTokensRoutes,
  addStoredResponseRoutes,
  addModelRoutes,
  addRoutingRoutes,
  addVariantRoutes,
  addScoreRoutes,
  addExperimentRoutes,
  addFeedbackRoutes,
  addHealthRoutes,
  addDescriptionRoutes,
  addDocsRoutes,
];

export const addRoutes: AddRoutes = (app, deps) => {
  describeBearer(app);
  for (const add of ROUTES) add(app, deps);
};
