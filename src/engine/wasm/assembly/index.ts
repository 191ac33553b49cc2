// All that the runner calls. One memory, imported; nothing here allocates.
export { attend } from "./attention";
export { feedForward } from "./ffn";
export { storeKv } from "./kv";
export { finite, sumExp, topK } from "./logits";
export { widen } from "./panel";
export { multiplyQ4 } from "./q4";
export { embed, multiplyQ8 } from "./q8";
export { angles } from "./rope";
export { addRows, normalizeRows8, normalizeRows16, quantizeRows16, quantizeRows8 } from "./rows";
