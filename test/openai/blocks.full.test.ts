import { it } from "vitest";
import { checkBodies, checkTemplates } from "../support/bodies.ts";

it("none of 5,000 hostile bodies holds up the event loop for more than 100 ms", () => checkBodies(5000, 2026));
it("none of 5,000 hostile templates does, whatever its messages", () => checkTemplates(5000, 2026));
