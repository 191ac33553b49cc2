// The door of the routes: adds every endpoint to the app.
import { describeBearer } from "./bearer.ts";
import { addChatRoutes } from "./chat.ts";
import type { AddRoutes } from "./context.ts";
import { addDescriptionRoutes } from "./description.ts";
import { addHealthRoutes } from "./health.ts";
import { addModelRoutes } from "./models.ts";
import { addRoutingRoutes } from "./routing.ts";

export { ROUTING_HEADERS } from "./choose.ts";
export { type App, type AppEnv, type GatewayDeps, reportError } from "./context.ts";

const ROUTES: readonly AddRoutes[] = [
  addChatRoutes,
  addModelRoutes,
  addRoutingRoutes,
  addHealthRoutes,
  addDescriptionRoutes,
];

export const addRoutes: AddRoutes = (app, deps) => {
  describeBearer(app);
  for (const add of ROUTES) add(app, deps);
};
