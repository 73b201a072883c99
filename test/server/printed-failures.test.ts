/** What somebody sees of a program that ended with a failure of this package. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as childProcess from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"

const password = "canary-k29fq7"

const program = path.join(import.meta.dirname, "../fixtures/failing.ts")

/** What a program of its own prints to its end. */
const printed = (failure: string, url: string) =>
  Effect.gen(function*() {
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        childProcess.spawn(process.execPath, [program, failure, url], {
          env: { ...process.env, FAILING_PASSWORD: password },
          stdio: ["ignore", "pipe", "pipe"]
        })
      ),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let output = ""
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => output += text)
    const [code] = yield* Effect.promise(() => once(child, "close"))
    return { output: output.trim(), code: Number(code) }
  })

const source = path.join(import.meta.dirname, "../../src/")

/** Nothing of the code of this package, and no frames but those of the program. */
const isOfProgram = (output: string): void => {
  assert.notInclude(output, source)
  assert.deepStrictEqual(output.split("\n").filter((line) => /^\s+at /.test(line) && !line.includes("failing.ts:")), [])
}

const server = TestNatsServer.make({ users: [{ user: "user", password }] })

/** A failure, what its first line has, and how many lines there are at most. */
const failures = [
  ["AuthorizationViolation", "refused a user and a password: check `auth`", 1],
  ["ConnectionRefused", "Nothing listens at nats://127.0.0.1:1: start the server", 3],
  ["ConnectionRefused as a defect", "Nothing listens at nats://127.0.0.1:1: start the server", 3],
  ["NatsConfigError", "server: this key is not known", 1],
  ["TlsConfigInvalid", "tls.caFile (/nowhere/ca.pem) is unusable: there is no such file", 3],
  ["BackgroundEnded", "The client \"nats://127.0.0.1:", 3],
  ["RequestTimedOut", "\"silent\"", 1],
  ["JetStreamNotEnabled", "This account has no JetStream", 1],
  ["InvalidService", "no name", 1]
] as const

describe("a program that ends with a failure of this package prints its sentence, and no line of the package's code", () => {
  for (const [failure, sentence, most] of failures) {
    it.effect(failure, () =>
      Effect.gen(function*() {
        const { url } = yield* server
        const { code, output } = yield* printed(failure, url)
        const lines = output.split("\n")
        assert.include(lines[0], `${failure.split(" ")[0]}: `)
        assert.include(lines[0], sentence)
        assert.isAtMost(lines.length, most, output)
        isOfProgram(output)
        assert.notInclude(output, password)
        assert.strictEqual(code, 1)
      }))
  }

  it.effect("TlsCertificateInvalid", () =>
    Effect.gen(function*() {
      const { cert, key } = yield* TestCertificates.selfSigned()
      const { url } = yield* TestNatsServer.make({ users: [{ user: "user", password }], tls: { cert, key } })
      const { output } = yield* printed("TlsCertificateInvalid", url)
      assert.match(output, /TlsCertificateInvalid: The certificate of \S+ was not accepted/)
      assert.isAtMost(output.split("\n").length, 3, output)
      isOfProgram(output)
    }))

  it.effect("and the place in the program, where it is named there", () =>
    Effect.gen(function*() {
      const { url } = yield* server
      const { output } = yield* printed("NoResponders in a span", url)
      assert.match(output, /NoResponders: .*"nobody".*\n +at place order \(.*failing\.ts:\d+:\d+\)/)
      isOfProgram(output)
    }))

  it.effect("and the line that threw it, where something is made without an Effect", () =>
    Effect.gen(function*() {
      const { output } = yield* printed("InvalidSubject thrown", "")
      assert.match(output, /InvalidSubject: .*"a b".*\n +at \S*failing\.ts:\d+:\d+/)
      isOfProgram(output)
    }))

  it.effect("also where the error itself is printed, which has its sentence", () =>
    Effect.gen(function*() {
      const { code, output } = yield* printed("ConnectionRefused printed", "")
      assert.include(output, "Nothing listens at nats://127.0.0.1:1")
      assert.include(output, "code: 'ECONNREFUSED'")
      isOfProgram(output)
      assert.strictEqual(code, 0)
    }))

  it.effect("also where a promise is rejected with it, and nobody listens", () =>
    Effect.gen(function*() {
      const { code, output } = yield* printed("ConnectionRefused of a promise", "")
      assert.include(output, "[ConnectionRefused: Nothing listens at nats://127.0.0.1:1")
      isOfProgram(output)
      assert.strictEqual(code, 1)
    }))
})
