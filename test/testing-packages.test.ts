/** The packages that only some of `effect-nats/testing` needs. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { loadPackage } from "../src/testing/internal/packages.ts"

const rejecting = (code: string) => () => Promise.reject(Object.assign(new Error("rejected"), { code }))

describe("loading a package", () => {
  it.effect("gives it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* loadPackage("a", () => Promise.resolve("the package")), "the package")
    }))

  it.effect("fails with its name where it is not installed", () =>
    Effect.gen(function*() {
      for (const code of ["ERR_MODULE_NOT_FOUND", "MODULE_NOT_FOUND"]) {
        const error = yield* Effect.flip(loadPackage("node-forge", rejecting(code)))
        assert.strictEqual(error._tag, "PackageMissing")
        assert.strictEqual(error.package, "node-forge")
        assert.strictEqual(
          error.message,
          "This needs the package node-forge, which is not installed: run `npm install --save-dev node-forge`."
        )
      }
    }))

  it.effect("is a defect where it is installed and broken", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(loadPackage("a", rejecting("ERR_REQUIRE_ASYNC_MODULE")))
      assert.isTrue(exit._tag === "Failure" && exit.cause.reasons[0]?._tag === "Die")
    }))
})
