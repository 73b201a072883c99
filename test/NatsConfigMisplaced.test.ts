/** Paths in place of contents and contents in place of paths, quotes of env files, and numbers for what has no end. */
import { assert, describe, it } from "@effect/vitest"
import { NatsConfig } from "effect-nats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { isPath } from "../src/internal/config/misplaced.ts"
import { credsText, identity } from "./fixtures/identity.ts"
import { renderedExit } from "./fixtures/rendered.ts"

type Problem = readonly [path: string, problem: string]

const told = (result: Result.Result<unknown, NatsConfig.NatsConfigError>): ReadonlyArray<Problem> =>
  Result.isFailure(result) ? result.failure.problems.map(({ path, problem }) => [path, problem]) : []

const inOptions = (input: unknown): ReadonlyArray<Problem> => told(NatsConfig.decodeResult(input))

const inVariables = (env: Readonly<Record<string, string>>, prefix = "NATS") =>
  Effect.map(
    Effect.result(
      Effect.provideService(
        NatsConfig.fromEnv({ prefix }),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromEnv({ env })
      )
    ),
    told
  )

const john = identity(1)
const jwt = john.jwt()

/** Paths as they are written, with a word that must not be shown: it could be a secret. */
const paths = [
  "/run/secrets/c4n4ry",
  "/run/secrets/c4n4ry.creds",
  "~/.nats/c4n4ry",
  "./c4n4ry",
  "../certs/c4n4ry.pem",
  "certs/c4n4ry",
  "c4n4ry.pem",
  "C:\\nats\\c4n4ry.key",
  "C:/nats/c4n4ry.key",
  "\\\\server\\share\\c4n4ry",
  "file:///run/secrets/c4n4ry",
  "$HOME/c4n4ry",
  "${HOME}/c4n4ry",
  "%USERPROFILE%\\c4n4ry",
  " /run/secrets/c4n4ry ",
  "\"/run/secrets/c4n4ry\""
]

describe("a path in place of what is in the file", () => {
  const variables: ReadonlyArray<readonly [string, Readonly<Record<string, string>>, string, string]> = [
    ["CREDS", {}, "the text of a creds file", "use X_CREDS_FILE"],
    ["NKEY_SEED", {}, "the seed itself", "use X_CREDS_FILE, which takes a file with a seed"],
    ["JWT", {}, "the JWT itself", "use X_CREDS_FILE and a file with the JWT and its seed"],
    ["TLS_CA", {}, "PEM text", "use X_TLS_CA_FILE"],
    ["TLS_CERT", { TLS_KEY_FILE: "/key.pem" }, "PEM text", "use X_TLS_CERT_FILE"],
    ["TLS_KEY", { TLS_CERT_FILE: "/cert.pem" }, "PEM text", "use X_TLS_KEY_FILE"]
  ]
  for (const [name, others, what, instead] of variables) {
    for (const prefix of ["NATS", "ORDERS_NATS"]) {
      it.effect(`in ${prefix}_${name} is told as one, with the variable for it, and not shown`, () =>
        Effect.forEach(paths, (path) =>
          Effect.gen(function*() {
            const env = Object.fromEntries(
              Object.entries({ ...others, [name]: path }).map(([name, text]) => [`${prefix}_${name}`, text])
            )
            assert.deepStrictEqual(yield* inVariables(env, prefix), [[
              `${prefix}_${name}`,
              `is a path and must be ${what}: ${instead.replace("X_", `${prefix}_`)}`
            ]])
          }), { discard: true }))
    }
  }

  const credsFile = "use `{ _tag: \"CredsFile\", path }`"
  const options: ReadonlyArray<readonly [string, (path: string) => unknown, string, string]> = [
    ["creds", (path) => ({ auth: { _tag: "Creds", creds: path } }), "auth.creds", `: ${credsFile}`],
    ["creds without a tag", (path) => ({ auth: { creds: path } }), "auth.creds", `: ${credsFile}`],
    ["redacted creds", (path) => ({ auth: { creds: Redacted.make(path) } }), "auth.creds", `: ${credsFile}`],
    ["a seed", (path) => ({ auth: { _tag: "NKey", seed: path } }), "auth.seed", `: ${credsFile}, which takes a file`],
    ["a seed without a tag", (path) => ({ auth: { seed: path } }), "auth.seed", `: ${credsFile}`],
    ["Panini's seed", (path) => ({ auth: { nkeys_seed_str: path } }), "auth.nkeys_seed_str", ": use `nkeys_seed`"],
    ["a JWT", (path) => ({ auth: { _tag: "Jwt", jwt: path } }), "auth.jwt", `: ${credsFile} and a file with`],
    ["an authority", (path) => ({ tls: { ca: path } }), "tls.ca", ": use `caFile`"],
    ["a certificate", (path) => ({ tls: { cert: path, keyFile: "/k" } }), "tls.cert", ": use `certFile`"],
    ["a key", (path) => ({ tls: { key: Redacted.make(path), certFile: "/c" } }), "tls.key", ": use `keyFile`"]
  ]
  for (const [name, input, where, words] of options) {
    it(`as ${name} is told as one, with the option for it, and not shown`, () => {
      for (const path of paths) {
        const [[at, problem], ...more] = inOptions(input(path))
        assert.deepStrictEqual([at, more], [where, []])
        assert.match(problem, /^is a path and must be /)
        assert.include(problem, words)
        assert.notInclude(problem, "c4n4ry")
      }
    })
  }

  it.effect("is not base64 of what is in it, which is told as that", () =>
    Effect.gen(function*() {
      const base64 = (text: string) => Buffer.from(text).toString("base64")
      const word = /^is unusable: it is base64 of the text and not the text itself/
      for (const [name, text] of [["NKEY_SEED", john.seed], ["TLS_CA", "-----BEGIN CERTIFICATE-----\nMII"]]) {
        const [[path, problem], ...more] = yield* inVariables({ [`NATS_${name}`]: base64(text) })
        assert.deepStrictEqual([path, more], [`NATS_${name}`, []])
        assert.match(problem, word)
      }
    }))

  it("is not what a content is, or a secret with a mistake in it", () => {
    // A key without its lines, as base64 of DER is.
    assert.isFalse(isPath(`MI${"A".repeat(50)}/${"b".repeat(50)}`))
    const mistaken = john.seed.slice(0, -1)
    const base64 = Buffer.from(john.seed).toString("base64")
    for (
      const text of [
        john.seed,
        jwt,
        mistaken,
        base64,
        "-----BEGIN X-----\n/a/b",
        "a b/c d",
        "secret",
        "MIIB".repeat(80)
      ]
    ) {
      assert.isFalse(isPath(text), text)
    }
  })
})

describe("a path", () => {
  const faults: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["a seed", john.seed, /is the content of a file/],
    ["a seed in quotes", `"${john.seed}"`, /is the content of a file/],
    ["a JWT", jwt, /is the content of a file/],
    ["base64 of a seed", Buffer.from(john.seed).toString("base64"), /is the content of a file/],
    ["base64 of a key", `MIIEvQIBADANBgkqhkiG9w0BAQEFAASC${"c4n4ry".repeat(20)}`, /is the content of a file/],
    ["quotes", "\"/c4n4ry\"", /stands in quotes/],
    ["a URL", "file:///c4n4ry", /is a URL: leave out file:\/\//],
    ["a home", "~/c4n4ry", /only a shell understands: write the whole path/],
    ["a variable", "$HOME/c4n4ry", /only a shell fills in: write the whole path/],
    ["another variable", "%APPDATA%\\c4n4ry", /only a shell fills in/]
  ]
  for (const [name, text, expected] of faults) {
    it.effect(`that is ${name} is refused, and not shown`, () =>
      Effect.gen(function*() {
        for (const option of ["caFile", "certFile", "keyFile"]) {
          const problem = inOptions({ tls: { [option]: text } }).find(([path]) => path === `tls.${option}`)
          assert.match(String(problem?.[1]), expected)
        }
        const problems = yield* inVariables({ NATS_CREDS_FILE: text })
        assert.deepStrictEqual(problems.map(([path]) => path), ["NATS_CREDS_FILE"])
        assert.match(problems[0][1], expected)
        const shown = yield* renderedExit(yield* Effect.exit(NatsConfig.decode({ auth: { user_credentials: text } })))
        assert.notInclude(shown, text)
        assert.notInclude(shown, "c4n4ry")
      }))
  }

  it.effect("of a creds file is asked for as a variable, where its content is given", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* inVariables({ NATS_CREDS_FILE: john.seed }), [[
        "NATS_CREDS_FILE",
        "must be a path, and is the content of a file: give that as NATS_CREDS"
      ]])
    }))
})

describe("quotes around a variable", () => {
  const quotes = "stands in quotes, which count as a part of it, as some env files keep them: remove them"
  const values: Readonly<Record<string, string>> = {
    URL: "nats://h:4222",
    NAME: "orders",
    USER: "john",
    NKEY_SEED: john.seed,
    JWT: jwt,
    CREDS_FILE: "/run/x.creds",
    TLS_MODE: "require",
    TLS_HANDSHAKE_FIRST: "true",
    TLS_SERVER_NAME: "a.example.com",
    TLS_CA_FILE: "/ca.pem",
    WEBSOCKET_HEADERS: "cookie: a=b",
    CONNECT_TIMEOUT: "5 seconds",
    MAX_PING_OUT: "3",
    INBOX_PREFIX: "orders",
    BANNER: "no",
    METRICS: "yes",
    RECONNECT_MAX_ATTEMPTS: "forever",
    RECONNECT_REFUSAL_TIMEOUT: "forever",
    WHILE_DISCONNECTED: "fail",
    WHILE_DISCONNECTED_BUFFER: "10"
  }
  for (const [name, value] of Object.entries(values)) {
    it.effect(`NATS_${name} is a problem of its own`, () =>
      Effect.gen(function*() {
        const others: Readonly<Record<string, string>> = name === "USER"
          ? { NATS_PASSWORD: "p" }
          : name === "JWT"
          ? { NATS_NKEY_SEED: john.seed }
          : {}
        for (const quote of ["\"", "'"]) {
          const env = { ...others, [`NATS_${name}`]: `${quote}${value}${quote}` }
          assert.deepStrictEqual(yield* inVariables(env), [[`NATS_${name}`, quotes]])
        }
      }))
  }

  it.effect("are a part of a password and a token, which only the server knows", () =>
    Effect.gen(function*() {
      const env = { NATS_USER: "john", NATS_PASSWORD: "\"p\"" }
      const provider = ConfigProvider.fromEnv({ env })
      const { auth } = yield* Effect.provideService(NatsConfig.fromEnv(), ConfigProvider.ConfigProvider, provider)
      assert.strictEqual(auth._tag === "UserPassword" ? Redacted.value(auth.password) : "", "\"p\"")
      assert.deepStrictEqual(yield* inVariables({ NATS_TOKEN: "'t'" }), [])
    }))

  it.effect("of which all were kept are told of a password, too", () =>
    Effect.gen(function*() {
      const env = { NATS_URL: "\"nats://h\"", NATS_USER: "\"u\"", NATS_PASSWORD: "\"p\"" }
      assert.deepStrictEqual(yield* inVariables(env), [
        ["NATS_USER", quotes],
        [
          "NATS_PASSWORD",
          "stands in quotes, too, and would be sent with them: remove them, unless they are a part of it"
        ],
        ["NATS_URL", quotes]
      ])
    }))

  it("are told in options, too, where nothing with quotes is right", () => {
    const problems = inOptions({
      servers: "'nats://h'",
      banner: "\"true\"",
      connectTimeout: "'5 seconds'",
      maxPingOut: "\"3\"",
      whileDisconnected: "'wait'",
      auth: { _tag: "NKey", seed: `'${john.seed}'` }
    })
    assert.deepStrictEqual(
      problems.map(([path]) => path),
      ["servers", "auth.seed", "connectTimeout", "maxPingOut", "banner", "whileDisconnected"]
    )
    assert.deepStrictEqual(problems.map(([, problem]) => problem), problems.map(() => quotes))
  })
})

describe("a value of another kind", () => {
  const faults: ReadonlyArray<readonly [string, unknown, string, RegExp]> = [
    [
      "a number for a password",
      { auth: { user: "u", password: 400 } },
      "auth.password",
      /a number: write it in quotes/
    ],
    ["text for a boolean", { noEcho: "true" }, "noEcho", /write it without quotes/],
    ["text for a number", { maxPingOut: "3" }, "maxPingOut", /write it without quotes/],
    ["no pings", { maxPingOut: 0 }, "maxPingOut", /from 1 to 1000: pings cannot be turned off$/],
    [
      "no buffer",
      { whileDisconnected: { buffer: 0 } },
      "whileDisconnected.buffer",
      /: for none write `whileDisconnected: "fail"`$/
    ]
  ]
  for (const [name, input, path, expected] of faults) {
    it(`that is ${name} is refused with what to write`, () => {
      const [[at, problem], ...more] = inOptions(input)
      assert.deepStrictEqual([at, more], [path, []])
      assert.match(problem, expected)
    })
  }
})

describe("what is not seen, or stands behind a value", () => {
  const unseen = "begins with a byte order mark (U+FEFF), as some editors write before a text: remove it"
  const comment = "has a comment behind it, as some env files keep them: remove it"
  const blank = "begins or ends with white space: remove it"
  const variables: ReadonlyArray<readonly [name: string, text: string, problem: string]> = [
    ["TOKEN", "\uFEFFc4n4ry", unseen],
    ["NAME", "\uFEFForders", unseen],
    ["NKEY_SEED", `\uFEFF${john.seed}`, unseen],
    ["TOKEN", "c4n4ry\r\n", "ends with a line break: remove it"],
    ["NKEY_SEED", `${john.seed}\n`, "ends with a line break: remove it"],
    ["CREDS_FILE", "/run/c4n4ry\n", "ends with a line break: remove it"],
    ["TOKEN", "c4n4ry\nc4n4ry\n", "must not have control characters, line breaks among them"],
    ["URL", "nats://a:4222 # c4n4ry", comment],
    ["URL", "nats://u:c4n4ry@a:4222 #the first", comment],
    ["BANNER", "false # c4n4ry", comment],
    ["MAX_PING_OUT", "3 # c4n4ry", comment],
    ["CONNECT_TIMEOUT", "5 seconds # c4n4ry", comment],
    ["TLS_MODE", "require # c4n4ry", comment],
    ["CREDS_FILE", " ", blank],
    ["CREDS_FILE", "/run/c4n4ry ", blank],
    ["TLS_CA_FILE", "\t/run/c4n4ry", blank]
  ]
  for (const [name, text, problem] of variables) {
    it.effect(`is told: NATS_${name} is ${JSON.stringify(text.replace(john.seed, "a seed")).replace("\uFEFF", "\\uFEFF")}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* inVariables({ [`NATS_${name}`]: text }), [[`NATS_${name}`, problem]])
      }))
  }

  it.effect("is a part of a password and a name, and a mark is none in the text of a file", () =>
    Effect.gen(function*() {
      const env = { NATS_USER: "a # b", NATS_PASSWORD: "c # d", NATS_NAME: "e # f", NATS_URL: "\uFEFFnats://a" }
      assert.deepStrictEqual(yield* inVariables(env), [])
      assert.deepStrictEqual(yield* inVariables({ NATS_CREDS: `\uFEFF${credsText(jwt, john.seed)}` }), [])
    }))
})

describe("what has no end", () => {
  for (const endless of [-1, Number.POSITIVE_INFINITY, "-1", "infinity", "unlimited", "never"]) {
    it(`is not ${JSON.stringify(endless)} (${typeof endless}), and what to write is told`, () => {
      const times = ["connectTimeout", "requestTimeout", "pingInterval", "drainTimeout"]
      const problems = inOptions({
        ...Object.fromEntries(times.map((key) => [key, endless])),
        reconnect: { maxAttempts: endless, maxElapsed: endless, refusalTimeout: endless, initialDelay: endless }
      })
      const words = new Map(problems)
      for (const key of [...times, "reconnect.initialDelay"]) {
        assert.match(String(words.get(key)), /: there is no time without end$/)
      }
      assert.match(String(words.get("reconnect.maxAttempts")), /: write "forever" for no end$/)
      assert.match(String(words.get("reconnect.refusalTimeout")), /: write "forever" for no end$/)
      assert.match(String(words.get("reconnect.maxElapsed")), /: leave it out for no bound$/)
      assert.strictEqual(problems.length, times.length + 4)
    })
  }

  it.effect("is told of the variables, too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(
        yield* inVariables({ NATS_RECONNECT_MAX_ATTEMPTS: "-1", NATS_RECONNECT_REFUSAL_TIMEOUT: "-1" }),
        [
          [
            "NATS_RECONNECT_MAX_ATTEMPTS",
            "must be \"forever\" or a whole number from 1: write \"forever\" for no end"
          ],
          [
            "NATS_RECONNECT_REFUSAL_TIMEOUT",
            "must be a duration, such as \"5 seconds\" or a number of milliseconds, or \"forever\": write \"forever\" for no end"
          ]
        ]
      )
      assert.deepStrictEqual(yield* inVariables({ NATS_RECONNECT_MAX_ATTEMPTS: "0" }), [[
        "NATS_RECONNECT_MAX_ATTEMPTS",
        "must be a whole number from 1 to 1000000000: for no attempt write NATS_RECONNECT=false"
      ]])
    }))
})
