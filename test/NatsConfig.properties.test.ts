/** Properties of configurations: what holds for all of them. */
import { assert, describe, it } from "@effect/vitest"
import { NatsConfig } from "effect-nats"
import * as Arbitrary from "effect/Arbitrary"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeOptions } from "../src/internal/operations/options.ts"
import { connectAuth } from "../src/internal/wire/connectAuth.ts"
import { resolveCredentials } from "../src/internal/wire/credentials.ts"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"

const config = Arbitrary.schema(NatsConfig.NatsConfig)
const encode = Schema.encodeEffect(NatsConfig.NatsConfig)
const decode = Schema.decodeUnknownEffect(NatsConfig.NatsConfig)
const number = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 }))

type Json = { [key: string]: unknown }
type Path = ReadonlyArray<string | number>

const isObject = (u: unknown): u is Json => typeof u === "object" && u !== null

/** The paths of all single values. */
const leaves = (value: unknown, path: Path = []): ReadonlyArray<Path> =>
  isObject(value)
    ? Object.entries(value).flatMap(([key, child]) =>
      leaves(child, [...path, Array.isArray(value) ? Number(key) : key])
    )
    : [path]

/** The paths of all objects that have names for keys. */
const objects = (value: unknown, path: Path = []): ReadonlyArray<Path> =>
  isObject(value)
    ? [
      ...(Array.isArray(value) ? [] : [path]),
      ...Object.entries(value).flatMap(([key, child]) =>
        objects(child, [...path, Array.isArray(value) ? Number(key) : key])
      )
    ]
    : []

const at = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((inner, key) => (isObject(inner) ? inner[key] : undefined), value)

/** A copy in which `change` was done to the object that holds the last key of the path. */
const changed = (value: Json, path: Path, change: (parent: Json) => void): Json => {
  const copy = structuredClone(value)
  const parent = at(copy, path)
  if (isObject(parent)) {
    change(parent)
  }
  return copy
}

const text = (path: Path): string =>
  path.reduce<string>((out, key) => typeof key === "number" ? `${out}[${key}]` : out === "" ? key : `${out}.${key}`, "")

/** Values that no option takes in place of one of this kind. */
const wrong = (value: unknown): ReadonlyArray<unknown> => {
  const everywhere = [
    null,
    [{}],
    Symbol("value"),
    () => "value",
    Number.NaN,
    "",
    "a\u0000b",
    "x".repeat(2_000_000),
    "\ud800"
  ]
  switch (typeof value) {
    case "boolean":
      return [...everywhere, "true", 1, []]
    case "number":
      return [...everywhere, true, -1, 0, Number.POSITIVE_INFINITY, 1e300, "soon", []]
    default:
      return [...everywhere, true, [], ["a"], -1, "a\r\nb", "\u007f"]
  }
}

const failure = (input: unknown): NatsConfig.NatsConfigError => {
  const result = NatsConfig.decodeResult(input)
  return Result.isFailure(result) ? result.failure : assert.fail("it decoded")
}

const assertNames = (input: unknown, path: string): void => {
  const error = failure(input)
  assert.isTrue(
    error.problems.some((problem) => problem.path === path),
    `${path} is named in: ${error.message}`
  )
  assert.isBelow(error.message.length, 20_000)
}

describe("any configuration", () => {
  it.effect.prop("is the same after encoding and decoding", { config }, ({ config }) =>
    Effect.gen(function*() {
      const again = yield* decode(yield* encode(config))
      assert.isTrue(Equal.equals(again, config))
    }))

  it.effect.prop("is the same after a JSON file", { config }, ({ config }) =>
    Effect.gen(function*() {
      const again = yield* decode(JSON.parse(JSON.stringify(yield* encode(config))))
      assert.isTrue(Equal.equals(again, config))
    }))

  it.effect.prop("is itself what it decodes to", { config }, ({ config }) =>
    Effect.gen(function*() {
      assert.isTrue(Equal.equals(yield* NatsConfig.decode(config), config))
      assert.isTrue(Equal.equals(yield* decodeOptions(config), config))
    }))

  it.effect.prop(
    "builds what a dial needs, unless that is in a file",
    { config },
    ({ config }) =>
      Effect.gen(function*() {
        if (config.auth._tag !== "CredsFile") {
          const credentials = yield* resolveCredentials(config.auth)
          const fields = connectAuth(credentials, "nonce")
          const proofs = {
            Anonymous: [],
            UserPassword: ["user", "pass"],
            Token: ["auth_token"],
            NKey: ["nkey", "sig"],
            Jwt: config.auth._tag === "Jwt" && config.auth.seed === undefined ? ["jwt"] : ["jwt", "sig"],
            Creds: ["jwt", "sig"]
          }
          assert.deepStrictEqual(Object.keys(fields), proofs[config.auth._tag])
        }
        if (config.tls.caFile === undefined && config.tls.certFile === undefined) {
          const material = yield* resolveTls(config.tls)
          assert.strictEqual(material.mode, config.tls.mode ?? "prefer")
        }
      })
  )

  it.effect.prop("with a wrong value anywhere is refused at its path", { config, leaf: number, value: number }, (
    { config, leaf, value }
  ) =>
    Effect.gen(function*() {
      const encoded = { ...(yield* encode(config)) }
      const paths = leaves(encoded)
      const path = paths[leaf % paths.length]
      const values = wrong(at(encoded, path))
      const bad = values[value % values.length]
      assertNames(
        changed(encoded, path.slice(0, -1), (parent) => {
          parent[path[path.length - 1]] = bad
        }),
        text(path)
      )
    }), { timeout: 120_000, arbitrary: { runs: 1000 } })

  it.effect.prop("with a key that is not known is refused where the key is", { config, where: number }, (
    { config, where }
  ) =>
    Effect.gen(function*() {
      const encoded = { ...(yield* encode(config)) }
      const paths = objects(encoded)
      const path = paths[where % paths.length]
      const input = changed(encoded, path, (parent) => {
        parent["bogus"] = 1
      })
      // Beside secrets the key is not shown, as it may be one; the object that has it is named.
      assertNames(input, text(path[0] === "auth" || path[0] === "tls" ? path : [...path, "bogus"]))
    }), { arbitrary: { runs: 300 } })

  it.effect.prop("without a part of its credentials is refused at the part", { config, which: number }, (
    { config, which }
  ) =>
    Effect.gen(function*() {
      const encoded = { ...(yield* encode(config)) }
      const parts = Object.keys(encoded.auth).filter((key) => key !== "_tag")
      const part = parts[which % parts.length]
      if (part !== undefined) {
        assertNames(
          changed(encoded, ["auth"], (auth) => {
            delete auth[part]
          }),
          `auth.${part}`
        )
      }
    }), { arbitrary: { runs: 300 } })

  it.effect.prop(
    "with the credentials of a second method is refused at theirs",
    { config },
    ({ config }) =>
      Effect.gen(function*() {
        const encoded = { ...(yield* encode(config)) }
        const other = config.auth._tag === "Token" ? "user" : "token"
        assertNames(
          changed(encoded, ["auth"], (auth) => {
            auth[other] = "another"
          }),
          `auth.${other}`
        )
        assertNames({ ...encoded, servers: ["nats://a:b@127.0.0.1:4222"] }, "auth")
      })
  )

  it.effect.prop("with all of it wrong is refused for all of it", { config }, ({ config }) =>
    Effect.gen(function*() {
      const encoded = { ...(yield* encode(config)) }
      const error = failure(Object.fromEntries(Object.keys(encoded).map((key) => [key, Symbol("wrong")])))
      assert.sameMembers(error.problems.map(({ path }) => path), Object.keys(encoded))
    }))

  it.effect.prop("is the same from the environment", { config }, ({ config }) =>
    Effect.gen(function*() {
      const variables = variablesOf(yield* encode(config))
      const provider = ConfigProvider.fromEnv({ env: variables })
      const fromEnv = yield* NatsConfig.fromEnv().pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      const fromConfig = yield* NatsConfig.config().parse(provider)
      assert.isTrue(Equal.equals(fromEnv, config))
      assert.isTrue(Equal.equals(fromConfig, config))
    }), { arbitrary: { runs: 300 } })
})

/** The environment form, written down a second time on purpose. */
const variablesOf = (encoded: NatsConfig.Encoded): Record<string, string> => {
  const auth: { readonly [key: string]: unknown } = { ...encoded.auth }
  const reconnect: { readonly [key: string]: unknown } = encoded.reconnect === false ? {} : { ...encoded.reconnect }
  const all: Record<string, unknown> = {
    NATS_URL: encoded.servers.join(","),
    NATS_RANDOMIZE_SERVERS: encoded.randomizeServers,
    NATS_DISCOVER_SERVERS: encoded.discoverServers,
    NATS_NAME: encoded.name,
    NATS_USER: auth["user"],
    NATS_PASSWORD: auth["password"],
    NATS_TOKEN: auth["token"],
    NATS_NKEY_SEED: auth["seed"],
    NATS_JWT: auth["jwt"],
    NATS_CREDS: auth["creds"],
    NATS_CREDS_FILE: auth["path"],
    NATS_TLS_MODE: encoded.tls.mode,
    NATS_TLS_HANDSHAKE_FIRST: encoded.tls.handshakeFirst,
    NATS_TLS_SERVER_NAME: encoded.tls.serverName,
    NATS_TLS_CA_FILE: encoded.tls.caFile,
    NATS_TLS_CERT_FILE: encoded.tls.certFile,
    NATS_TLS_KEY_FILE: encoded.tls.keyFile,
    NATS_TLS_PASSPHRASE: encoded.tls.passphrase,
    NATS_TLS_DANGEROUSLY_DISABLE_VERIFICATION: encoded.tls.dangerouslyDisableVerification,
    NATS_WEBSOCKET_HEADERS: encoded.webSocket === undefined
      ? undefined
      : Object.entries(encoded.webSocket.headers).map(([name, value]) => `${name}: ${value}`).join("\n"),
    NATS_CONNECT_TIMEOUT: encoded.connectTimeout,
    NATS_REQUEST_TIMEOUT: `${encoded.requestTimeout} millis`,
    NATS_PING_INTERVAL: encoded.pingInterval,
    NATS_MAX_PING_OUT: encoded.maxPingOut,
    NATS_INBOX_PREFIX: encoded.inboxPrefix,
    NATS_NO_ECHO: encoded.noEcho ? "yes" : "no",
    NATS_DRAIN_TIMEOUT: encoded.drainTimeout,
    NATS_BANNER: encoded.banner,
    NATS_METRICS: encoded.metrics,
    NATS_LOG_STATUS: encoded.logStatus,
    NATS_RECONNECT: encoded.reconnect !== false,
    NATS_RECONNECT_INITIAL_DELAY: reconnect["initialDelay"],
    NATS_RECONNECT_MAX_DELAY: reconnect["maxDelay"],
    NATS_RECONNECT_FACTOR: reconnect["factor"],
    NATS_RECONNECT_JITTER: reconnect["jitter"],
    NATS_RECONNECT_MAX_ATTEMPTS: reconnect["maxAttempts"],
    NATS_RECONNECT_MAX_ELAPSED: reconnect["maxElapsed"],
    NATS_RECONNECT_REFUSAL_TIMEOUT: reconnect["refusalTimeout"],
    NATS_RECONNECT_ON_FIRST_CONNECT: reconnect["onFirstConnect"],
    ...(typeof encoded.whileDisconnected === "string"
      ? { NATS_WHILE_DISCONNECTED: encoded.whileDisconnected }
      : { NATS_WHILE_DISCONNECTED_BUFFER: encoded.whileDisconnected.buffer })
  }
  return Object.fromEntries(
    Object.entries(all).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]]))
  )
}

describe("hostile input", () => {
  const cyclic: Json = {}
  cyclic["auth"] = cyclic
  cyclic["servers"] = [cyclic]
  const deep = (depth: number): unknown => {
    let value: unknown = "end"
    for (let i = 0; i < depth; i++) {
      value = [value]
    }
    return value
  }
  const inputs: ReadonlyArray<readonly [string, unknown]> = [
    ["a cycle", cyclic],
    ["great depth", { auth: deep(100_000), servers: deep(100_000) }],
    ["a million keys", Object.fromEntries(Array.from({ length: 1_000_000 }, (_, i) => [`key${i}`, i]))],
    ["a million servers", { servers: Array.from({ length: 1_000_000 }, () => "%") }],
    ["a thousand wrong servers", { servers: Array.from({ length: 1000 }, () => "http://x") }],
    ["a megabyte of commas", { servers: ",".repeat(1_000_000) }],
    ["a megabyte of dashes", { auth: { _tag: "Creds", creds: "-".repeat(1_000_000) } }],
    ["blocks without end", { auth: { _tag: "Creds", creds: "-----BEGIN NATS USER JWT-----\n".repeat(30_000) } }],
    ["a prototype", JSON.parse("{\"__proto__\": {\"servers\": 5}, \"constructor\": 1}")],
    ["properties that throw", {
      get auth() {
        throw new Error("from a property")
      }
    }],
    [
      "a revoked proxy",
      (() => {
        const { proxy, revoke } = Proxy.revocable({}, {})
        revoke()
        return { tls: proxy }
      })()
    ]
  ]
  for (const [name, input] of inputs) {
    it.effect(`${name} gives a finite error`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(NatsConfig.decode(input))
        assert.isTrue(Exit.isFailure(exit))
        const { message, problems } = failure(input)
        assert.isBelow(message.length, 20_000)
        assert.isAtLeast(problems.length, 1)
        assert.notInclude(message, "from a property")
      }))
  }
})
