import { cloudflareTest, readD1Migrations } from "@cloudflare/vitest-pool-workers";
import { defineConfig } from "vitest/config";

// What a user has there is no test's business.
process.env.FRANKEN_ARTIFACTS = "none";

// `workerd`: unit tests, inside the Workers runtime. `node`: what needs files or processes: the build, parity with PyTorch, end to end.
// `interop`: slower checks against real peers.
export default defineConfig({
  test: {
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
              // Only so that the binding resolves: a unit test gives the app a stand-in, and what is inside the replica is tested directly.
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
          exclude: ["test/**/*.{node,interop}.test.ts"],
          // All files in one runtime, emptied before each: a runtime for each would take twice as long.
          isolate: false,
          setupFiles: ["test/support/reset.ts"],
        },
      },
      {
        test: {
          name: "node",
          include: ["test/**/*.node.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "interop",
          include: ["test/**/*.interop.test.ts"],
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
