// Replies as the API's description shows them: recorded from a running gateway, with lists cut short.
import examples from "./examples.json";

const REPLIES: Readonly<Record<string, unknown>> = examples;

/** Of the 200 reply in JSON; undefined where a route has its own, or none. @param path with `{name}` for parameters */
export const exampleOf = (method: string, path: string): unknown => REPLIES[`${method.toUpperCase()} ${path}`];
