import * as path from "node:path"
import { defineConfig } from "vitest/config"

const src = (file: string): string => path.join(import.meta.dirname, "src", file)

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000
  },
  resolve: {
    alias: [
      { find: /^effect-nats$/, replacement: src("index.ts") },
      { find: /^effect-nats\/testing$/, replacement: src("testing/index.ts") },
      { find: /^effect-nats\/(.+)$/, replacement: src("$1.ts") }
    ]
  }
})
