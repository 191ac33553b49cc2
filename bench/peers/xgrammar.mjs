// @mlc-ai/web-xgrammar in Node: what it costs, and which invalid texts it accepts. Reads JSON from standard input: `{tokens, endIds, schemas,
// refused}`; writes JSON.
import { readFileSync } from "node:fs";
import { createRequire, Module } from "node:module";
import { dirname } from "node:path";

const { tokens, endIds, schemas, refused } = JSON.parse(readFileSync(0, "utf8"));
const path = createRequire(import.meta.url).resolve("@mlc-ai/web-xgrammar");
let memory;
const { instantiate } = WebAssembly;
WebAssembly.instantiate = async (...args) => {
  const result = await instantiate(...args);
  memory = Object.values((result.instance ?? result).exports).find((value) => value instanceof WebAssembly.Memory);
  return result;
};
// The package says that it is an ES module and is a CommonJS one.
const module = new Module(path);
module.filename = path;
module.paths = Module._nodeModulePaths(dirname(path));
module._compile(readFileSync(path, "utf8"), path);
const { TokenizerInfo, GrammarCompiler, GrammarMatcher } = module.exports;

const timed = async (work) => {
  const started = performance.now();
  const result = await work();
  return [result, performance.now() - started];
};
const [info, tokenizerMs] = await timed(() =>
  TokenizerInfo.createTokenizerInfo(tokens, "byte_level", false, tokens.length, endIds),
);
const compiler = await GrammarCompiler.createGrammarCompiler(info, false);
const compile = (schema) => compiler.compileJSONSchema(JSON.stringify(schema), false, -1, [",", ":"], true);
const compiled = {};
for (const [name, schema] of Object.entries(schemas)) {
  const [grammar, ms] = await timed(() => compile(schema));
  compiled[name] = ms;
  grammar.dispose();
}
const accepted = [];
for (const [schema, text] of refused) {
  const matcher = await GrammarMatcher.createGrammarMatcher(await compile(schema), undefined, true);
  if (matcher._acceptString(text) && matcher.isTerminated()) accepted.push([schema, text]);
}
process.stdout.write(JSON.stringify({ tokenizerMs, compiled, accepted, heapBytes: memory.buffer.byteLength }));
