/** No secret leaves: a canary is planted everywhere, and looked for in everything that can be seen. */
import { assert, describe, it } from "@effect/vitest"
import { NatsAuth, NatsConfig, NatsTls } from "effect-nats"
import * as Arbitrary from "effect/Arbitrary"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { resolveAuthSource, resolveCredentials } from "../src/internal/wire/credentials.ts"
import { rendered, renderedExit } from "./fixtures/rendered.ts"

const canary = "c4n4ry-S3CR3T-9Zq7"

const config = Arbitrary.schema(NatsConfig.NatsConfig)
const encode = Schema.encodeEffect(NatsConfig.NatsConfig)
const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

type Json = { [key: string]: unknown }

const isObject = (u: unknown): u is Json => typeof u === "object" && u !== null

type Place = ReadonlyArray<string>

/** Every place of a value: single values, objects and arrays. */
const places = (value: unknown, at: Place = []): ReadonlyArray<Place> => [
  at,
  ...(isObject(value) ? Object.entries(value).flatMap(([key, child]) => places(child, [...at, key])) : [])
]

const planted = (value: unknown, [key, ...rest]: Place, plant: unknown): unknown => {
  if (key === undefined) return plant
  const children = isObject(value) ? value : {}
  const child = planted(children[key], rest, plant)
  return Array.isArray(children)
    ? children.map((other: unknown, index) => (String(index) === key ? child : other))
    : { ...children, [key]: child }
}

/** What is planted: the canary in many shapes, most of them wrong wherever they are. */
const plants: ReadonlyArray<unknown> = [
  canary,
  `${canary}\n`,
  `${canary}\u0000`,
  [canary],
  [[canary, canary]],
  { [canary]: canary },
  { value: canary },
  { password: canary },
  { user: canary },
  { token: canary },
  { token: canary, user: "john" },
  { seed: canary },
  { seeds: canary },
  { _tag: canary },
  { _tag: "NKey", seed: canary },
  { _tag: "Jwt", jwt: `${canary}.${canary}.${canary}` },
  { _tag: "Creds", creds: `-----BEGIN NATS USER JWT-----\n${canary}\n------END NATS USER JWT------` },
  { _tag: "CredsFile", path: `-----BEGIN NATS USER JWT-----\n${canary}` },
  { key: canary, cert: canary, ca: canary },
  { key: `-----BEGIN PRIVATE KEY-----\n${canary}\n-----END PRIVATE KEY-----` },
  { keyFile: `-----BEGIN PRIVATE KEY-----\n${canary}` },
  `nats://john:${canary}@`,
  `nats://john:${canary}@[::1`,
  `nats://john:${canary}`,
  `john:${canary}`,
  `nats://[${canary}]`,
  `nats://john:${canary}@127.0.0.1:70000`,
  `nats://${canary}/@127.0.0.1`,
  `nats://john:1/${canary}@127.0.0.1`,
  `nats://john:${canary}%@127.0.0.1`,
  `nats://john:,${canary}@127.0.0.1`,
  `nats://127.0.0.1/?password=${canary}`,
  `http://john:${canary}@127.0.0.1`,
  `${canary}://127.0.0.1`,
  `nats://${canary};nats://${canary}`,
  `["nats://${canary}"]`,
  `${canary}=nats://127.0.0.1`,
  `nats://127.0.0.1:\${${canary}}`,
  `/run/${canary}.pem`,
  `~/${canary}`,
  `file:///${canary}`,
  `"${canary}"`,
  [`nats://john:${canary}@127.0.0.1`, "nats://john:another@127.0.0.1"],
  Redacted.make(canary),
  Redacted.make({ password: canary }),
  { password: Redacted.make([canary]), user: 5 },
  Symbol(canary),
  new Error(canary),
  new Map([[canary, canary]]),
  Object.defineProperty({}, "servers", {
    enumerable: true,
    get: () => {
      throw new Error(canary)
    }
  }),
  Object.assign(() => canary, { password: canary })
]

const assertHidden = (text: string): void => {
  assert.isFalse(text.toLowerCase().includes(canary.toLowerCase()), "the canary is seen")
}

describe("a secret", () => {
  it.effect.prop("planted anywhere in any configuration is in no error", { config, place: number, plant: number }, (
    { config, place, plant }
  ) =>
    Effect.gen(function*() {
      const encoded = yield* encode(config)
      const all = places(encoded)
      const input = planted(encoded, all[place % all.length], plants[plant % plants.length])
      const decoded = yield* Effect.exit(NatsConfig.decode(input))
      if (Exit.isFailure(decoded)) {
        assertHidden(yield* renderedExit(decoded))
        assertHidden(yield* renderedExit(yield* Effect.exit(Schema.decodeUnknownEffect(NatsConfig.NatsConfig)(input))))
      }
    }), { timeout: 120_000, arbitrary: { runs: 1000 } })

  const key = Buffer.from(canary).toString("base64url")
  const secretInputs: ReadonlyArray<readonly [string, unknown]> = [
    ["as a password", { auth: { user: "john", password: canary } }],
    ["as a redacted password", { auth: { user: "john", password: Redacted.make(canary) } }],
    ["as a token", { auth: { token: canary } }],
    ["as a token in a URL", { servers: `nats://${canary}@127.0.0.1` }],
    ["as a password in each of two URLs", { servers: [`nats://john:${canary}@a`, `nats://john:${canary}@b`] }],
    ["as a redacted URL", { servers: Redacted.make(`nats://john:${canary}@127.0.0.1`) }],
    ["as a JWT", { auth: { _tag: "Jwt", jwt: `e30.e30.${key}` } }],
    ["as a passphrase", { tls: { certFile: "/a.pem", keyFile: "/b.pem", passphrase: canary } }]
  ]
  for (const [name, input] of secretInputs) {
    it.effect(`that is right, ${name}, is in nothing that shows the configuration`, () =>
      Effect.gen(function*() {
        const decoded = yield* NatsConfig.decode(input)
        const text = yield* rendered(decoded)
        assertHidden(text)
        assert.notInclude(text, key)
        assertHidden(yield* rendered(yield* resolveCredentials(decoded.auth)))
      }))
  }

  it.effect("is in the encoded form, which is how this file knows that it looks in the right place", () =>
    Effect.gen(function*() {
      const decoded = yield* NatsConfig.decode({ auth: { user: "john", password: canary } })
      const text = yield* rendered(yield* encode(decoded))
      assert.include(text, canary)
      assert.throws(() => assertHidden(text))
    }))

  it.effect.prop("in a variable is in no error and no configuration", { which: number, extra: number }, (
    { extra, which }
  ) =>
    Effect.gen(function*() {
      const names = [
        "URL",
        "NAME",
        "USER",
        "PASSWORD",
        "TOKEN",
        "NKEY_SEED",
        "JWT",
        "CREDS",
        "TLS_MODE",
        "TLS_CA",
        "TLS_CERT",
        "TLS_KEY",
        "TLS_PASSPHRASE",
        "TLS_HANDSHAKE_FIRST",
        "CONNECT_TIMEOUT",
        "MAX_PING_OUT",
        "BANNER",
        "METRICS",
        "RECONNECT",
        "WHILE_DISCONNECTED",
        "RECONNECT_FACTOR"
      ]
      const values = [
        canary,
        `nats://john:${canary}@127.0.0.1:x`,
        `-----BEGIN ${canary}`,
        `${canary}\n`,
        `/run/${canary}`,
        `"${canary}"`
      ]
      const value = values[extra % values.length]
      const provider = ConfigProvider.fromUnknown({
        [`NATS_${names[which % names.length]}`]: value,
        NATS_PING_INTERVAL: canary
      })
      const fromEnv = yield* Effect.exit(
        Effect.provideService(NatsConfig.fromEnv(), ConfigProvider.ConfigProvider, provider)
      )
      assert.isTrue(Exit.isFailure(fromEnv))
      assertHidden(yield* renderedExit(fromEnv))
      assertHidden(yield* renderedExit(yield* Effect.exit(NatsConfig.config().parse(provider))))
    }), { arbitrary: { runs: 300 } })

  it.effect.prop(
    "in a JSON file that is broken anywhere is in no error",
    { cut: number, junk: number },
    ({ cut, junk }) =>
      Effect.gen(function*() {
        const whole = JSON.stringify(
          { auth: { user: "john", password: canary }, tls: { passphrase: canary } },
          undefined,
          2
        )
        const place = cut % whole.length
        const text = whole.slice(0, place) + ["", "\"", "}", ",", "\n", "\\", "x", "\u0001"][junk % 8] +
          (junk % 16 < 8 ? "" : whole.slice(place))
        const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))
        const file = path.join(directory, "nats.json")
        fs.writeFileSync(file, text)
        const decoded = yield* Effect.exit(NatsConfig.fromFile(file)).pipe(
          Effect.ensuring(Effect.sync(() => fs.rmSync(directory, { recursive: true })))
        )
        if (Exit.isFailure(decoded)) {
          assertHidden(yield* renderedExit(decoded))
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it.effect("in what an Effect given as auth yields is in no error", () =>
    Effect.forEach(plants, (plant) =>
      Effect.gen(function*() {
        // What a provider yields is of the right type only as far as the compiler sees.
        const source = Effect.sync((): NatsAuth.Input => plant as NatsAuth.Input)
        const resolved = yield* Effect.exit(resolveAuthSource(source))
        if (Exit.isFailure(resolved)) {
          assertHidden(yield* renderedExit(resolved))
        } else {
          assertHidden(yield* rendered(resolved.value))
        }
      }), { discard: true }))

  it.effect("in a wrong auth or tls value is in no error of their own schemas", () =>
    Effect.forEach(plants, (plant) =>
      Effect.gen(function*() {
        for (const schema of [NatsAuth.NatsAuth, NatsTls.NatsTls]) {
          const decoded = yield* Effect.exit(
            Effect.asVoid(Schema.decodeUnknownEffect<Schema.Codec<unknown, unknown>>(schema)(plant))
          )
          if (Exit.isFailure(decoded)) {
            assertHidden(yield* renderedExit(decoded))
          }
        }
      }), { discard: true }))
})
