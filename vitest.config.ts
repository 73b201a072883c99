import * as path from "node:path"
import { defineConfig } from "vitest/config"

const src = (file: string): string => path.join(import.meta.dirname, "src", file)

/** Where `.ci/run` wants the counts, besides the usual output. */
const report = process.env.EFFECT_NATS_TEST_REPORT

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // They need a browser: `npm run test:browser`.
    exclude: ["test/browser/**"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Most tests wait for servers and clocks, not for the processor.
    maxWorkers: 2,
    reporters: report === undefined ? ["default"] : ["default", "json"],
    ...(report === undefined ? {} : { outputFile: { json: report } })
  },
  resolve: {
    alias: [
      { find: /^effect-nats$/, replacement: src("index.ts") },
      {
        find: /^effect-nats\/(service|jetstream|persistence|cluster|dashboard|compat|testing)$/,
        replacement: src("$1/index.ts")
      },
      { find: /^effect-nats\/(.+)$/, replacement: src("$1.ts") }
    ]
  }
})
