// `franken compress gptq`: quantizes weights so that each layer's outputs change least.
export { defineGptq as define } from "./quantize.ts";
