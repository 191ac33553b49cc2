// `franken compress rtn`: rounds weights to fewer bits, each to its nearest value.
export { defineRtn as define } from "./quantize.ts";
