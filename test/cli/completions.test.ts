import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"

const has = (shell: string): boolean => spawnSync(shell, ["--version"]).error === undefined

/** The commands of a help text, and the options of one. */
const listed = (help: string, section: string): ReadonlyArray<string> =>
  (help.split(`\n${section}\n`)[1] ?? "").split("\n\n")[0].split("\n").flatMap((line) => {
    const [, name] = /^ {2}(?:-\w, )?(-{0,2}[a-z][a-z-]*)/.exec(line) ?? []
    return name === undefined ? [] : [name]
  })

describe("completions", () => {
  it.live.each(["bash", "zsh", "fish", "powershell"])(
    "of %s have every command, and the options of each",
    (shell) =>
      Effect.gen(function*() {
        const { code, stderr, stdout } = yield* run(["--completions", shell])
        assert.strictEqual(code, 0)
        assert.strictEqual(stderr, "")
        const commands = listed((yield* run(["--help"])).stdout, "SUBCOMMANDS")
        assert.includeMembers([...commands], ["check", "whoami", "creds"])
        for (const command of commands) {
          assert.include(stdout, command)
          const options = listed((yield* run([command, "--help"])).stdout, "FLAGS")
          if (command === "check") assert.includeMembers([...options], ["--server", "--creds", "--json"])
          for (const option of options) {
            // Fish has them without dashes.
            assert.include(stdout, option.replace(/^--/, ""), `${command} ${option}`)
          }
        }
        assert.include(stdout, "inspect")
      }),
    120_000
  )

  it.live.runIf(has("bash"))("of bash load, and complete commands and options", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run(["--completions", "bash"])
      const file = path.join(yield* directory, "completions.bash")
      fs.writeFileSync(file, stdout)
      const bash = (script: string): string => {
        const { status, stderr, stdout } = spawnSync("bash", ["--norc", "-c", script, "bash", file], {
          encoding: "utf8"
        })
        assert.strictEqual(status, 0, stderr)
        return stdout
      }
      assert.strictEqual(bash("bash -n \"$1\""), "")
      const registered = bash("source \"$1\"; complete -p effect-nats")
      const [, name] = /-F (\S+) effect-nats/.exec(registered) ?? []
      assert.isDefined(name)
      const completed = (...words: ReadonlyArray<string>): ReadonlyArray<string> => {
        const line = ["effect-nats", ...words].join(" ")
        return bash(
          `source "$1"; COMP_WORDS=(effect-nats ${
            words.map((word) => `'${word}'`).join(" ")
          }); COMP_CWORD=${words.length}; ` +
            `COMP_LINE='${line}'; COMP_POINT=${line.length}; ${name}; printf '%s\\n' "\${COMPREPLY[@]}"`
        ).trim().split("\n").map((each) => each.trim())
      }
      assert.deepStrictEqual(completed("who"), ["whoami"])
      assert.deepStrictEqual(completed("creds", "ins"), ["inspect"])
      assert.deepStrictEqual(completed("check", "--tls-ce"), ["--tls-cert"])
    }).pipe(Effect.scoped))

  it.live("are of a shell that is known", () =>
    Effect.gen(function*() {
      const { code, stderr } = yield* run(["--completions", "tcsh"])
      assert.strictEqual(code, 2)
      assert.include(stderr, "bash")
    }))
})

describe("help", () => {
  it.live("fits on a screen, with a line for each command", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run(["--help"])
      const lines = stdout.split("\n")
      assert.isAtMost(lines.length, 24)
      for (const line of lines) assert.isAtMost(line.length, 140, line)
    }))
})
