import { defineConfig } from "vitest/config"
import config from "./vitest.config.ts"

/** The tests that look at pages in a browser, one file at a time. */
export default defineConfig({
  ...config,
  test: { ...config.test, include: ["test/browser/**/*.test.ts"], exclude: [], maxWorkers: 1 }
})
