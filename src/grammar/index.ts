// The door of grammars: what a request wants to get back, turned into what the replica masks tokens by.
export type { Grammar } from "./automaton.ts";
export { CALL, DONE, JUMP } from "./automaton.ts";
export {
  type Compiled,
  compileGrammar,
  compileSteps,
  MAX_CALLS,
  type OutputFormat,
  TOOL_CALLS,
  type ToolFormat,
  type ValueFormat,
} from "./compile.ts";
export { SchemaError } from "./errors.ts";
export { exactNumber } from "./exact.ts";
