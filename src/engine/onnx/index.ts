// The onnxruntime-web engine's door.
export { createOnnxEngine, type OnnxEngineOptions } from "./engine.ts";
