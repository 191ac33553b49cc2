// The two builds of the kernels and what they export. Addresses are byte offsets into the one memory.

/** `relaxed` needs relaxed SIMD; both compute the same bits. */
export interface KernelModules {
  /** Left out where the runtime cannot compile it. */
  readonly relaxed?: WebAssembly.Module | undefined;
  readonly plain: WebAssembly.Module;
}

export type KernelBuild = keyof KernelModules;

/** Documented where they are written, in assembly/. */
export interface Kernels {
  embed(table: number, blocks: number, token: number, to: number): void;
  angles(position: number, frequencies: number, half: number, to: number): void;
  normalizeRows8: Normalize;
  normalizeRows16: Normalize;
  quantizeRows8(from: number, stride: number, tokens: number, count: number, panels: number): void;
  quantizeRows16(
    from: number,
    stride: number,
    count: number,
    blocks: number,
    panels: number,
    first: number,
    tokens: number,
  ): void;
  widen(
    panels8: number,
    token8: number,
    tokens8: number,
    blocks: number,
    panels16: number,
    token16: number,
    tokens16: number,
  ): void;
  multiplyQ4(
    weights: number,
    groups: number,
    blocks: number,
    panels: number,
    tokens: number,
    out: number,
    outStride: number,
    unpacked: number,
  ): void;
  multiplyQ8(
    weights: number,
    groups: number,
    blocks: number,
    panels: number,
    tokens: number,
    out: number,
    outStride: number,
    factor: number,
    add: 0 | 1,
  ): void;
  storeKv(
    tokens: number,
    position: number,
    k: number,
    v: number,
    stride: number,
    angles: number,
    kvHeads: number,
    headDim: number,
    pages: number,
    pagesPerHead: number,
  ): void;
  attend(
    tokens: number,
    position: number,
    q: number,
    qStride: number,
    angles: number,
    kvHeads: number,
    group: number,
    headDim: number,
    pages: number,
    pagesPerHead: number,
    out: number,
    outStride: number,
    scratch: number,
  ): void;
  feedForward(
    gate: number,
    up: number,
    firstBlock: number,
    blockCount: number,
    blocks: number,
    panels: number,
    tokens: number,
    gateJobs: number,
    gateJobCount: number,
    upJobs: number,
    upJobCount: number,
    span: number,
    temporary: number,
    unpacked: number,
    outBlocks: number,
    outPanels: number,
    gatePanels: number,
    upPanels: number,
  ): void;
  addRows(from: number, stride: number, tokens: number, count: number, rows: number): void;
  finite(from: number, count: number): 0 | 1;
  sumExp(from: number, groups: number, state: number): void;
  topK(from: number, count: number, k: number, to: number, first: number, have: number): number;
}

type Normalize = (
  rows: number,
  tokens: number,
  weight: number,
  count: number,
  epsilon: number,
  temporary: number,
  panels: number,
) => void;

/** Takes the relaxed build where it is given and the runtime accepts it. */
export function instantiate(
  modules: KernelModules,
  memory: WebAssembly.Memory,
): { kernels: Kernels; build: KernelBuild } {
  const link = (module: WebAssembly.Module): Kernels =>
    new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as Kernels;
  if (modules.relaxed) {
    try {
      return { kernels: link(modules.relaxed), build: "relaxed" };
    } catch {
      // A runtime that took the module but has no relaxed SIMD: the plain build computes the same.
    }
  }
  return { kernels: link(modules.plain), build: "plain" };
}
