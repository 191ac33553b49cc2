// Node compiles WebAssembly from bytes; the types that the project is checked against are the Workers', which cannot.

export const compileModule = (bytes: Uint8Array): Promise<WebAssembly.Module> =>
  (WebAssembly as unknown as { compile(bytes: Uint8Array): Promise<WebAssembly.Module> }).compile(bytes);
