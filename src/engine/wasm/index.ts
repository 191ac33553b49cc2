// The WebAssembly engine's door.
export { createWasmEngine, type WasmEngine, type WasmEngineOptions } from "./engine.ts";
export type { KernelBuild, KernelModules } from "./kernels.ts";
export { shapesNeeded, shapesOf, slotProblem } from "./shapes.ts";
