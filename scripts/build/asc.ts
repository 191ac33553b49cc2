// The AssemblyScript compiler, typed here: its own types declare AssemblyScript's globals (`console`, `WebAssembly`, …) over ours, so its
// name is kept from the type checker.
interface Result {
  readonly error: Error | null;
  readonly stderr: { toString(): string };
}

interface Compiler {
  /** Compiles as the `asc` command would with these arguments; files go through `options`. */
  main(
    argv: string[],
    options: {
      readFile?: (name: string, baseDir: string) => string | null;
      writeFile(name: string, content: Uint8Array | string, baseDir: string): void;
    },
  ): Promise<Result>;
}

const name: string = "assemblyscript/asc";
export const asc = ((await import(name)) as { default: Compiler }).default;
