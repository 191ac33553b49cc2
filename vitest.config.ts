// Tests by the suffix of their file, which says what they need; CONTRIBUTING.md says which to choose.
// `.full` beside it says that they are slow: `npm run test:full` runs them, `npm test` does not.
import { availableParallelism } from "node:os";
import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig, type UserWorkspaceConfig } from "vitest/config";

// What a user has there is no test's business.
process.env.FRANKEN_ARTIFACTS = "none";

const SECONDS = 1000;
const CORES = Math.max(2, availableParallelism() - 1);

/**
 * Tests that run in Node. Projects run one after the other, in this order. Times out what hangs, not
 * what is slow on a busy machine.
 */
const inNode = (
  name: string,
  groupOrder: number,
  test: Partial<NonNullable<UserWorkspaceConfig["test"]>>,
  seconds = 120,
): UserWorkspaceConfig => ({
  test: {
    name,
    sequence: { groupOrder },
    maxWorkers: 1,
    testTimeout: seconds * SECONDS,
    hookTimeout: seconds * SECONDS,
    ...test,
  },
});

const SERVICE = ["test/e2e/service.ts"];

export default defineConfig({
  test: {
    // Instrumented, not V8's own, which workerd does not offer to vitest.
    coverage: {
      provider: "istanbul",
      include: ["{src,formats,build,evaluation,compress,cli,scripts}/**/*.ts"],
      exclude: ["src/engine/wasm/assembly/**"],
      reporter: ["text-summary", "json", "html"],
      reportsDirectory: "dist/coverage",
    },
    projects: [
      {
        plugins: [
          cloudflareTest({
            wrangler: { configPath: "./wrangler.toml" },
            miniflare: {
              bindings: {
                API_KEYS: "sk-test-one,sk-test-two",
                // For what a test needs of D1: test/support/database.ts applies them.
                MIGRATIONS: await readD1Migrations("./migrations"),
              },
              // Only so that the binding resolves: a unit test gives the app a stand-in, and what
              // is inside the replica is tested directly.
              workers: [
                {
                  name: "franken-replica",
                  modules: true,
                  compatibilityDate: "2026-04-01",
                  script: `import { DurableObject } from "cloudflare:workers"; export class Replica extends DurableObject {}; export default {};`,
                  durableObjects: { REPLICA: "Replica" },
                },
              ],
            },
          }),
        ],
        test: {
          name: "workerd",
          include: ["test/**/*.test.ts"],
          exclude: ["test/**/*.{node,model,e2e,full,interop}.test.ts"],
          // All files in one runtime, emptied before each: a runtime for each would take twice as long.
          isolate: false,
          setupFiles: ["test/support/reset.ts"],
          // For what hangs: what is slow on a busy machine is no fault.
          testTimeout: 60 * SECONDS,
          hookTimeout: 60 * SECONDS,
        },
      },
      // One service for all files, which `npm start`'s command runs.
      inNode("e2e", 1, { include: ["test/**/*.e2e.test.ts"], globalSetup: SERVICE }),
      // One process for all files, and in it one engine on the weights that ship.
      inNode("model", 2, { include: ["test/**/*.model.test.ts"], isolate: false }),
      inNode("node", 3, { include: ["test/**/*.node.test.ts"], maxWorkers: CORES }),
      inNode("node-full", 4, { include: ["test/**/*.node.full.test.ts"], maxWorkers: CORES }, 600),
      inNode("e2e-full", 5, { include: ["test/**/*.e2e.full.test.ts"], globalSetup: SERVICE }, 600),
      // Each starts what it needs, alone on the machine.
      inNode("full", 6, { include: ["test/**/*.full.test.ts"], exclude: ["test/**/*.{node,e2e}.full.test.ts"] }, 600),
      inNode("interop", 7, { include: ["test/**/*.interop.test.ts"] }, 600),
    ],
  },
});
