// `franken compress flap`: fewer KV groups and narrower FFNs.
export { defineFlap as define } from "./narrow.ts";
