// A thread's first file: teaches it to read TypeScript, which it does not take over from every loader, then starts the worker.
import { register } from "tsx/esm/api";

register();
await import("./worker.ts");
