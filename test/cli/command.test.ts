import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { version } from "../../src/internal/wire/version.ts"
import { commandFile, run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"

describe("the command", () => {
  it.live("says its version, and what there is", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* run(["--version"]), { code: 0, stdout: `${version}\n`, stderr: "" })
      const help = yield* run(["--help"])
      assert.strictEqual(help.code, 0)
      assert.include(help.stdout, "check")
      const nothing = yield* run([])
      assert.strictEqual(nothing.code, 0)
      assert.strictEqual(nothing.stdout, help.stdout)
      assert.deepStrictEqual(yield* run(["help"]), help)
      assert.deepStrictEqual(yield* run(["help", "service", "top"]), yield* run(["service", "top", "--help"]))
    }))

  it.live.each([
    [["chek"], "\"chek\" is not a command. Did you mean check?"],
    [["check", "--jsn"], "--jsn is not an option of this command. Did you mean --json?"],
    [["check", "--server"], "--server"],
    [["check", "more"], "an argument too many"],
    [["check", "--config", "a", "--context", "b"], "two sources"],
    // An h among the letters is no call for help.
    [["pub", "greet", "-hello"], "stands behind --"],
    [["pub", "greet", "-1h"], "stands behind --"],
    [["check", "-s127.0.0.1"], "stands apart from its value"],
    [["service", "list", "--timeout", "soon"], "expected a time such as \"500ms\", \"2s\""],
    [["service", "top", "--interval", "0"], "--interval has a wrong value: expected a time"],
    [["service", "top", "--count", "0"], "--count has a wrong value: expected a whole number from 1"],
    [["service", "top", "--count", "many"], "--count has a wrong value: expected a string representing"]
  ])("tells what is wrong with %j", ([args, problem]) =>
    Effect.gen(function*() {
      const { code, stderr, stdout } = yield* run(args as ReadonlyArray<string>)
      assert.strictEqual(code, 2)
      assert.include(stderr, problem as string)
      assert.strictEqual(stdout, "")
    }))

  it.live.each([
    [["check", "--password", "s3cr3t-of-john"]],
    [["check", "--password=s3cr3t-of-john"]],
    [["check", "--token", "s3cr3t-of-john"]],
    [["check", "--server", "nats://john:s3cr3t-of-john@127.0.0.1"]],
    [["check", "--server", "nats://127.0.0.1,s3cr3t-of-john@127.0.0.1"]],
    [["check", "s3cr3t-of-john"]],
    [["check", "--s3cr3t-of-john", "x"]],
    [["s3cr3t-of-john"]],
    [["check", "--connect-timeout", "s3cr3t-of-john"]]
  ])("takes no secret and repeats none: %#", ([args]) =>
    Effect.gen(function*() {
      for (const more of [[], ["--json"]]) {
        const { code, stderr, stdout } = yield* run([...args, ...more])
        assert.strictEqual(code, 2)
        assert.notInclude(stdout + stderr, "s3cr3t")
        assert.match(more.length === 0 ? stderr : stdout, /\w{4}/)
      }
    }))

  it.live.each(["2s", "2000ms", "2 seconds", "2000"])("has one form of times: %s", (time) =>
    Effect.gen(function*() {
      const nowhere = ["--server", "127.0.0.1:1"]
      for (
        const args of [["check", "--connect-timeout"], ["service", "list", "--timeout"], ["sub", "a", "--timeout"]]
      ) {
        const { code, stderr, stdout } = yield* run([...args, time, ...nowhere])
        assert.strictEqual(code, 3, stderr)
        assert.include(stdout + stderr, "ConnectionRefused")
      }
    }))

  it.live("says that stdout takes no more, as on a full disk", () =>
    Effect.sync(() => {
      if (!fs.existsSync("/dev/full")) return
      const full = fs.openSync("/dev/full", "w")
      for (const args of [["--help"], ["check", "--server", "127.0.0.1:1", "--json"]]) {
        const { status, stderr } = spawnSync(process.execPath, [commandFile, ...args], {
          encoding: "utf8",
          stdio: ["ignore", full, "pipe"]
        })
        assert.strictEqual(stderr, "OutputLost: stdout cannot be written to (ENOSPC): it has not all of it.\n")
        assert.strictEqual(status, 1)
      }
      fs.closeSync(full)
    }))

  it.live("is one file that needs nothing beside it, with the notices of what is inside", () =>
    Effect.gen(function*() {
      const alone = path.join(yield* directory, "effect-nats.mjs")
      fs.copyFileSync(commandFile, alone)
      const { status, stdout } = spawnSync(process.execPath, [alone, "--help"], { encoding: "utf8" })
      assert.strictEqual(status, 0)
      assert.include(stdout, "check")
      const code = fs.readFileSync(commandFile, "utf8")
      assert.match(code, /^#!\/usr\/bin\/env node\n/)
      const later = [...code.matchAll(/\bimport\(\s*["'`]([^"'`]+)["'`]/g)].map(([, specifier]) => specifier)
      assert.deepStrictEqual(later.filter((specifier) => !specifier.startsWith("node:")), [])
      const notices = fs.readFileSync(path.join(path.dirname(commandFile), "NOTICES.txt"), "utf8")
      assert.include(notices, "\neffect ")
      assert.include(notices, "MIT License")
    }))
})
