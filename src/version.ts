// The version of the project, as package.json has it.
export { version as VERSION } from "../package.json";
