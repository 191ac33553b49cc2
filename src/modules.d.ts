// A WebAssembly file is imported as a compiled module: workerd compiles none at run time, so its types have no `compile`; Node has.
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

/** Any other bytes, in the Workers' bundles. */
declare module "*.bin" {
  const bytes: ArrayBuffer;
  export default bytes;
}

declare namespace WebAssembly {
  function compile(bytes: ArrayBuffer | ArrayBufferView): Promise<Module>;
}
