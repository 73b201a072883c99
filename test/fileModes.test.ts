/** Files with a secret that every user of the machine can read or write are named in a warning. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { NatsConfig } from "effect-nats"
import { TestCertificates } from "effect-nats/testing"
import * as fs from "node:fs"
import { resolveCredentials } from "../src/internal/wire/credentials.ts"
import { WarnedFiles } from "../src/internal/wire/secretFile.ts"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"
import { directory } from "./fixtures/directory.ts"
import { credsText, identity } from "./fixtures/identity.ts"

const john = identity(1)
const creds = (file: string) => resolveCredentials({ _tag: "CredsFile", path: file })

const write = (file: string, text: string, mode: number): void => {
  fs.writeFileSync(file, text)
  fs.chmodSync(file, mode)
}

/** The lines of the log, where each process has warned of nothing yet. */
const told = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<ReadonlyArray<string>, E, R> =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${String(message)}`)
    })
    return Effect.as(effect, lines).pipe(
      Effect.provide(Logger.layer([logger])),
      Effect.provideService(WarnedFiles, new Set())
    )
  })

const remedy =
  "set it to 0600, or to 0640 for a group. In Kubernetes that is `defaultMode: 0440` of the volume, with an " +
  "`fsGroup` for a user that is not root."

/** What the warning says that others can, by mode. */
const modes: ReadonlyArray<readonly [mode: number, can: string | undefined]> = [
  [0o600, undefined],
  [0o400, undefined],
  [0o440, undefined],
  [0o640, undefined],
  [0o660, undefined],
  [0o611, undefined],
  [0o604, "read"],
  [0o644, "read"],
  [0o664, "read"],
  [0o622, "write"],
  [0o602, "write"],
  [0o666, "read and write"],
  [0o777, "read and write"]
]

describe("a file with a secret", () => {
  for (const [mode, can] of modes) {
    const shown = `0${mode.toString(8)}`
    it.effect(`of mode ${shown} gives ${can === undefined ? "no warning" : `one warning that others can ${can} it`}`, () =>
      Effect.gen(function*() {
        const file = `${yield* directory}/john.creds`
        write(file, credsText(john.jwt(), john.seed), mode)
        assert.deepStrictEqual(
          yield* told(Effect.andThen(creds(file), creds(file))),
          can === undefined ? [] : [
            `Warn ${file} (auth.path) holds a secret, and every user of this machine can ${can} it, as its mode is ${shown}: ${remedy}`
          ]
        )
      }))
  }

  it.effect("that is a link, as those of a volume of Kubernetes, is judged by where it leads", () =>
    Effect.gen(function*() {
      const volume = yield* directory
      fs.mkdirSync(`${volume}/..2026_11_26`)
      fs.symlinkSync("..2026_11_26", `${volume}/..data`)
      fs.symlinkSync("..data/john.creds", `${volume}/john.creds`)
      const target = `${volume}/..2026_11_26/john.creds`
      write(target, credsText(john.jwt(), john.seed), 0o440)
      assert.lengthOf(yield* told(creds(`${volume}/john.creds`)), 0)
      fs.chmodSync(target, 0o644)
      const [line] = yield* told(creds(`${volume}/john.creds`))
      assert.include(line, `${volume}/john.creds (auth.path) `)
      assert.include(line, "as its mode is 0644")
    }))

  it.effect("is a key of TLS, and no certificate", () =>
    Effect.gen(function*() {
      const folder = yield* directory
      const authority = yield* TestCertificates.authority()
      const { cert, key } = yield* authority.issue({ commonName: "john" })
      const tls = { mode: "require", handshakeFirst: false, dangerouslyDisableVerification: false } as const
      const files = { caFile: `${folder}/ca.pem`, certFile: `${folder}/john.pem`, keyFile: `${folder}/john.key` }
      write(files.caFile, authority.cert, 0o666)
      write(files.certFile, cert, 0o666)
      write(files.keyFile, String(key), 0o644)
      const lines = yield* told(resolveTls({ ...tls, ...files }))
      assert.lengthOf(lines, 1)
      assert.include(
        lines[0],
        `${files.keyFile} (tls.keyFile) holds a secret, and every user of this machine can read it`
      )
    }))

  const configs: ReadonlyArray<readonly [what: string, config: object, warns: boolean]> = [
    ["with a password", { auth: { user: "john", password: "pw" } }, true],
    ["with user info in a URL", { servers: "nats://john:pw@a" }, true],
    ["with a token", { auth: { token: "t" } }, true],
    ["with a seed", { auth: { _tag: "NKey", seed: john.seed } }, true],
    ["with a creds text", { auth: { _tag: "Creds", creds: credsText(john.jwt(), john.seed) } }, true],
    ["with a passphrase", { tls: { certFile: "c", keyFile: "k", passphrase: "p" } }, true],
    ["with a header of a WebSocket", { webSocket: { headers: { authorization: "Bearer a" } } }, true],
    ["with the path of a creds file", { auth: { _tag: "CredsFile", path: "/john.creds" } }, false],
    [
      "without a secret",
      { servers: "nats://a", tls: { keyFile: "k", certFile: "c" }, webSocket: { headers: {} } },
      false
    ]
  ]
  for (const [what, config, warns] of configs) {
    it.effect(`${warns ? "is" : "is not"} a configuration ${what}`, () =>
      Effect.gen(function*() {
        const file = `${yield* directory}/nats.json`
        write(file, JSON.stringify(config), 0o644)
        const lines = yield* told(NatsConfig.fromFile(file))
        assert.lengthOf(lines, warns ? 1 : 0)
        assert.isTrue(lines.every((line) => line.startsWith(`Warn ${file} (configuration) holds a secret`)))
        fs.chmodSync(file, 0o640)
        assert.lengthOf(yield* told(NatsConfig.fromFile(file)), 0)
      }))
  }
})
