// Asks llama.cpp, through node-llama-cpp, for a GGUF file's tokens. Arguments: the file, and a JSON of { package, texts }. Prints the ids of
// each text, without what it puts before one, on the last line.
import { pathToFileURL } from "node:url";

const [file, request] = process.argv.slice(2);
const { package: entry, texts } = JSON.parse(request);
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry).href);

const llama = await getLlama({ gpu: false, build: "never", skipDownload: true, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: file, vocabOnly: true });
console.log(JSON.stringify(texts.map((text) => [...model.tokenize(text, true)])));
await llama.dispose();
