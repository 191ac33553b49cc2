// What `npm run check` and `npm test` run: jobs of Node, each with its arguments.

export interface Job {
  readonly name: string;
  readonly args: readonly string[];
  /** Of vitest.config.ts. */
  readonly projects: readonly string[];
}

const job = (name: string, ...args: string[]): Job => ({ name, args, projects: [] });
const vitest = (name: string, ...projects: string[]): Job => ({
  name,
  args: [...["node_modules/vitest/vitest.mjs", "run"], ...projects.flatMap((project) => ["--project", project])],
  projects,
});

const types = job("types", "node_modules/typescript/bin/tsc", "--noEmit");
const lint = job("lint", "node_modules/@biomejs/biome/bin/biome", "check", "--error-on-warnings", ".");
/** A test of the project `node` holds it, too. */
const rooms = job("rooms", "--import", "tsx", "scripts/rooms.ts");

/** Jobs run side by side, the longest first: all of them are waited for. */
export const TIERS = {
  check: [types, lint, rooms],
  quick: [vitest("tests in workerd", "workerd"), types, lint, vitest("tests in Node", "node", "model", "e2e")],
} as const satisfies Record<string, readonly Job[]>;
