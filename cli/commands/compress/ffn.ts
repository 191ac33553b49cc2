// `franken compress ffn`: narrower FFNs.
export { defineFfn as define } from "./narrow.ts";
