/** Configurations by example. */
import { assert, describe, it } from "@effect/vitest"
import { NatsConfig } from "effect-nats"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { formatServer } from "../src/internal/protocol/serverAddress.ts"

const problemsOf = (input: unknown): ReadonlyArray<readonly [string, string]> => {
  const decoded = NatsConfig.decodeResult(input)
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ path, problem }) => [path, problem] as const) : []
}

describe("a configuration", () => {
  it.effect("has the documented defaults", () =>
    Effect.gen(function*() {
      const config = yield* NatsConfig.decode({})
      const expected: NatsConfig.NatsConfig = {
        servers: [{ scheme: "nats", host: "127.0.0.1", port: 4222, path: "" }],
        randomizeServers: true,
        discoverServers: true,
        auth: { _tag: "Anonymous" },
        tls: { handshakeFirst: false, dangerouslyDisableVerification: false },
        connectTimeout: Duration.seconds(5),
        requestTimeout: Duration.seconds(10),
        pingInterval: Duration.seconds(30),
        maxPingOut: 2,
        inboxPrefix: "_INBOX",
        noEcho: false,
        drainTimeout: Duration.seconds(10),
        banner: false,
        metrics: false,
        logStatus: true,
        reconnect: {
          initialDelay: Duration.millis(100),
          maxDelay: Duration.seconds(5),
          factor: 2,
          jitter: true,
          maxAttempts: "forever",
          refusalTimeout: Duration.seconds(30),
          onFirstConnect: "fail"
        },
        whileDisconnected: "wait"
      }
      assert.isTrue(Equal.equals(config, expected))
      assert.isTrue(Equal.equals(yield* NatsConfig.decode({ name: undefined, tls: {}, reconnect: {} }), expected))
    }))

  for (
    const duration of [2000, "2 seconds", "2000", 2_000_000_000n, Duration.seconds(2), [2, 0] as const, { seconds: 2 }]
  ) {
    it.effect(`takes a duration as ${typeof duration} ${String(duration)}`, () =>
      Effect.gen(function*() {
        const config = yield* NatsConfig.decode({ connectTimeout: duration })
        assert.strictEqual(Duration.toMillis(config.connectTimeout), 2000)
      }))
  }

  it.effect("takes several servers as text or as an array, and what it decoded before", () =>
    Effect.gen(function*() {
      const text = yield* NatsConfig.decode({ servers: "tls://a, tls://b:5222" })
      assert.deepStrictEqual(text.servers.map(({ host, port, scheme }) => [scheme, host, port]), [
        ["tls", "a", 4222],
        ["tls", "b", 5222]
      ])
      const array = yield* NatsConfig.decode({
        servers: ["tls://a", { scheme: "tls", host: "b", port: 5222, path: "" }]
      })
      assert.deepStrictEqual(array.servers, text.servers)
    }))

  // A list is one trust domain: all its servers get the same credentials.
  const lists: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["a,b:5222", ["nats://a:4222", "nats://b:5222"]],
    ["nats://a,b", ["nats://a:4222", "nats://b:4222"]],
    ["tls://a,b", ["tls://a:4222", "tls://b:4222"]],
    ["a,tls://b", ["tls://a:4222", "tls://b:4222"]],
    ["tls://a,b:1,tls://c", ["tls://a:4222", "tls://b:1", "tls://c:4222"]],
    ["a,TLS://b , [::1]", ["tls://a:4222", "tls://b:4222", "tls://[::1]:4222"]],
    ["wss://a,b", ["wss://a:443", "wss://b:443"]],
    ["a,wss://b/nats,c:8443", ["wss://a:443", "wss://b:443/nats", "wss://c:8443"]],
    ["ws://a,b", ["ws://a:80", "ws://b:80"]],
    ["tls://a,wss://b", ["tls://a:4222", "wss://b:443"]],
    ["nats://a,ws://b", ["nats://a:4222", "ws://b:80"]],
    ["tls://john:pw@a,b", ["tls://a:4222", "tls://b:4222"]],
    ["john:pw@a,wss://b", ["wss://a:443", "wss://b:443"]],
    ["john:pw@a,john:pw@b:5222", ["nats://a:4222", "nats://b:5222"]]
  ]
  for (const [list, expected] of lists) {
    it.effect(`takes ${list} as servers of one kind, in one text, an array and a variable`, () =>
      Effect.gen(function*() {
        const parts = list.split(",").map((part) => part.trim())
        const env = ConfigProvider.fromEnv({ env: { NATS_URL: list } })
        const configs = [
          yield* NatsConfig.decode({ servers: list }),
          yield* NatsConfig.decode({ servers: parts }),
          yield* NatsConfig.decode({ servers: parts.map((part) => Redacted.make(part)) }),
          yield* Effect.provideService(NatsConfig.fromEnv(), ConfigProvider.ConfigProvider, env)
        ]
        for (const config of configs) {
          assert.deepStrictEqual(config.servers.map(formatServer), expected)
          assert.isTrue(Equal.equals(yield* NatsConfig.decode(config), config))
        }
      }))
  }

  const mixed: ReadonlyArray<readonly [string, ReadonlyArray<readonly [string, RegExp]>]> = [
    ["nats://a, tls://b", [["servers[0]", /nats:\/\/ beside tls:\/\/.*use tls:\/\//]]],
    ["tls://a,nats://b,c", [["servers[1]", /nats:\/\/ beside tls/], ["servers[2]", /no scheme beside tls.* and nats/]]],
    ["wss://a,ws://b", [["servers[1]", /ws:\/\/ beside wss:\/\/.*use wss:\/\//]]],
    ["tls://a,ws://b", [["servers[1]", /ws:\/\/ beside tls/]]],
    ["nats://a,wss://b", [["servers[0]", /nats:\/\/ beside wss/]]],
    ["tls://a,wss://b,c", [["servers[2]", /no scheme beside tls:\/\/ and wss/]]],
    ["a,nats://b,ws://c", [["servers[0]", /no scheme beside nats:\/\/ and ws/]]]
  ]
  for (const [list, expected] of mixed) {
    it(`refuses ${list}, in one text and as an array`, () => {
      for (const servers of [list, list.split(",")]) {
        const problems = problemsOf({ servers })
        assert.deepStrictEqual(problems.map(([path]) => path), expected.map(([path]) => path))
        for (const [index, [, pattern]] of expected.entries()) {
          assert.match(problems[index][1], pattern)
        }
      }
    })
  }

  it("refuses a server that was decoded before, beside one that is better protected", () => {
    const servers = [{ scheme: "nats", host: "a", port: 4222, path: "" }, "tls://b"]
    assert.deepStrictEqual(problemsOf({ servers }).map(([path]) => path), ["servers[0]"])
  })

  const commas = [
    "u:123,w@host",
    "u:123,w@host,other",
    "to,ken@host",
    "nats://a,u:1@b",
    "u:12,34,5@host",
    "a,b@c,d",
    "u:p@a,u:q@b",
    "u:p@a,b,u:p@c"
  ]
  for (const list of commas) {
    it(`refuses ${list}, where a comma may be part of a password`, () => {
      const [[path, problem], ...more] = problemsOf({ servers: list })
      assert.deepStrictEqual([path, more], ["servers", []])
      assert.match(problem, /"@" behind a comma .* %2C/)
    })
  }

  it.effect("turns user info of its URLs into auth, and keeps none of it", () =>
    Effect.gen(function*() {
      const config = yield* NatsConfig.decode({ servers: ["nats://jo%20hn:p%40w@a", "nats://jo%20hn:p%40w@b", "c"] })
      assert.isTrue(Equal.equals(config.auth, { _tag: "UserPassword", user: "jo hn", password: Redacted.make("p@w") }))
      assert.deepStrictEqual(config.servers.map(({ host }) => host), ["a", "b", "c"])
      const token = yield* NatsConfig.decode({ servers: "nats://t0k3n@a" })
      assert.isTrue(Equal.equals(token.auth, { _tag: "Token", token: Redacted.make("t0k3n") }))
    }))

  it.effect("has a first delay that is never more than the last", () =>
    Effect.gen(function*() {
      const slow = yield* NatsConfig.decode({ reconnect: { initialDelay: "10 seconds" } })
      const fast = yield* NatsConfig.decode({ reconnect: { maxDelay: "50 millis" } })
      assert.strictEqual(slow.reconnect && Duration.toSeconds(slow.reconnect.maxDelay), 10)
      assert.strictEqual(fast.reconnect && Duration.toMillis(fast.reconnect.initialDelay), 50)
    }))

  it.effect("is encoded with the path and the query of its servers", () =>
    Effect.gen(function*() {
      const config = yield* NatsConfig.decode({ servers: "wss://a/b?c=d" })
      const encoded = yield* Schema.encodeEffect(NatsConfig.NatsConfig)(config)
      assert.deepStrictEqual(encoded.servers, ["wss://a:443/b?c=d"])
    }))

  it.effect("has the headers that have a value", () =>
    Effect.gen(function*() {
      const { webSocket } = yield* NatsConfig.decode({ webSocket: { headers: { cookie: undefined, origin: "a" } } })
      assert.deepStrictEqual(Object.keys(webSocket?.headers ?? {}), ["origin"])
    }))

  const ofHandshake = (
    "host upgrade connection keep-alive proxy-connection te trailer expect transfer-encoding content-length " +
    "Sec-WebSocket-Protocol Sec-WebSocket-Extensions"
  ).split(" ")
  const faults: ReadonlyArray<readonly [string, unknown, ReadonlyArray<readonly [string, RegExp]>]> = [
    ["no object", 5, [["", /must be an object.*a number/]]],
    ["no server", { servers: [] }, [["servers", /at least one/]]],
    ["an empty place in the list", { servers: "a,,b" }, [["servers[1]", /must not be empty/]]],
    ["other users in other URLs", { servers: ["nats://a:b@a", "nats://a:c@b"] }, [["servers[1]", /other user info/]]],
    ["credentials twice", { servers: "nats://a:b@a", auth: { token: "t" } }, [["auth", /clashes with the user info/]]],
    ["a comma in a password", { servers: "nats://john:12,34@a" }, [["servers", /%2C/]]],
    ["an unknown key", { conectTimeout: 5 }, [["conectTimeout", /did you mean `connectTimeout`/]]],
    ["a key of another client", { url: "nats://a" }, [["url", /use `servers`/]]],
    ["keys of nats.js and of others for a WebSocket", { noRandomize: true, headers: {}, wsHeaders: {} }, [
      ["noRandomize", /use `randomizeServers: false`/],
      ["headers", /use `webSocket.headers`/],
      ["wsHeaders", /use `webSocket.headers`/]
    ]],
    ["a time that is none", { reconnect: { refusalTimeout: "ever" } }, [
      ["reconnect.refusalTimeout", /a duration.*, or "forever"/]
    ]],
    ["delays out of order", { reconnect: { initialDelay: 9, maxDelay: 8 } }, [[
      "reconnect.maxDelay",
      /less than `initialDelay`/
    ]]],
    ["true for the first connect", { reconnect: { onFirstConnect: true } }, [
      ["reconnect.onFirstConnect", /"fail", "wait" or "background": write "wait" in place of true/]
    ]],
    ["false for the first connect", { reconnect: { onFirstConnect: false } }, [
      ["reconnect.onFirstConnect", /write "fail" in place of false/]
    ]],
    ["another word for the first connect", { reconnect: { onFirstConnect: "later" } }, [
      ["reconnect.onFirstConnect", /must be "fail" or "wait" or "background"/]
    ]],
    ["refusals of no time", { reconnect: { refusalTimeout: 0 } }, [["reconnect.refusalTimeout", /more than zero/]]],
    ["refusals for ever in another word", { reconnect: { refusalTimeout: "always" } }, [
      ["reconnect.refusalTimeout", /must be a duration, such as "5 seconds" or a number of milliseconds, or "forever"/]
    ]],
    ["an attempt less than one", { reconnect: { maxAttempts: 0 } }, [["reconnect.maxAttempts", /from 1/]]],
    ["a timeout without end", { connectTimeout: "Infinity" }, [["connectTimeout", /at most 24 days/]]],
    ["a negative timeout", { drainTimeout: "-1 seconds" }, [["drainTimeout", /more than zero/]]],
    ["a buffer of none", { whileDisconnected: { buffer: 0 } }, [["whileDisconnected.buffer", /from 1/]]],
    ["a wildcard in its inbox prefix", { inboxPrefix: "a.*" }, [["inboxPrefix", /without wildcards/]]],
    ["an empty token in its inbox prefix", { inboxPrefix: "a..b" }, [["inboxPrefix", /without wildcards/]]],
    ["headers that are none", { webSocket: { headers: "cookie: a" } }, [["webSocket.headers", /value for each name/]]],
    ["headers that are one secret", { webSocket: { headers: Redacted.make("cookie: a") } }, [
      ["webSocket.headers", /value for each name/]
    ]],
    ["the headers that the handshake writes, or that give it a body", {
      webSocket: { headers: Object.fromEntries(ofHandshake.map((name) => [name, "a"])) }
    }, ofHandshake.map((name) => [`webSocket.headers.${name}`, /handshake/] as const)],
    ["more headers than anybody needs", {
      webSocket: { headers: Object.fromEntries(Array.from({ length: 101 }, (_, i) => [`a${i}`, "b"])) }
    }, [["webSocket.headers", /at most 100/]]],
    ["a header in the wrong place", { webSocket: { cookie: "a=b" } }, [[
      "webSocket.cookie",
      /`headers: \{ cookie \}`/
    ]]],
    ["headers that cannot be sent", {
      webSocket: {
        headers: {
          "Bearer abc": "authorization",
          cookie: "a\r\nhost: b",
          "x-name": "né",
          "x-number": 5,
          Upgrade: "h2c",
          "sec-websocket-key": "a",
          Host: "b",
          "a9": "",
          "X-Twice": "1",
          "x-twice": "2"
        }
      }
    }, [
      ["webSocket.headers[0]", /a name that a header cannot have/],
      ["webSocket.headers.cookie", /line breaks/],
      ["webSocket.headers.x-name", /ASCII/],
      ["webSocket.headers.x-number", /must be text/],
      ["webSocket.headers.Upgrade", /handshake/],
      ["webSocket.headers.sec-websocket-key", /handshake/],
      ["webSocket.headers.Host", /handshake/],
      ["webSocket.headers[7]", /empty/],
      ["webSocket.headers.x-twice", /twice/]
    ]],
    ["many faults", { maxPingOut: 0.5, auth: { user: "j" }, tls: { mode: "on" } }, [
      ["auth.password", /missing/],
      ["tls.mode", /"disable" or "prefer" or "require"/],
      ["maxPingOut", /whole number/]
    ]]
  ]
  for (const [name, input, expected] of faults) {
    it(`with ${name} is refused at ${expected.map(([path]) => path || "the whole").join(", ")}`, () => {
      const problems = problemsOf(input)
      assert.deepStrictEqual(problems.map(([path]) => path), expected.map(([path]) => path))
      for (const [index, [, pattern]] of expected.entries()) {
        assert.match(problems[index][1], pattern)
      }
    })
  }

  it("tells its problems in one sentence with where it came from", () => {
    const decoded = NatsConfig.decodeResult({ banner: "yes", auth: { user: "john" } }, "orders.json")
    assert.strictEqual(
      Result.isFailure(decoded) ? decoded.failure.message : "",
      "The NATS configuration (orders.json) is invalid: auth.password: is missing; banner: must be true or false, and is text."
    )
  })
})

describe("a configuration of the environment", () => {
  const fromEnv = (env: Record<string, string>, prefix?: string) =>
    Effect.provideService(
      NatsConfig.fromEnv(prefix === undefined ? {} : { prefix }),
      ConfigProvider.ConfigProvider,
      ConfigProvider.fromEnv({ env })
    )

  it.effect("is the default where nothing is set, and other variables do not count", () =>
    Effect.gen(function*() {
      assert.isTrue(Equal.equals(yield* fromEnv({ NATS_SERVER: "x", URL: "y" }), yield* NatsConfig.decode({})))
    }))

  it.effect("has the prefix that is asked for", () =>
    Effect.gen(function*() {
      for (const prefix of ["ORDERS_NATS", "ORDERS_NATS_"]) {
        const config = yield* fromEnv({ ORDERS_NATS_URL: "nats://a", NATS_URL: "nats://b" }, prefix)
        assert.strictEqual(config.servers[0].host, "a")
        const error = yield* Effect.flip(fromEnv({ ORDERS_NATS_URL: "a:0" }, prefix))
        assert.match(error.message, /\(environment ORDERS_NATS_\*\) is invalid: ORDERS_NATS_URL: has a port/)
      }
    }))

  it.effect("has a header for each line of one, of blanks and colons those of the value", () =>
    Effect.gen(function*() {
      const { webSocket } = yield* fromEnv({
        NATS_WEBSOCKET_HEADERS: "\n authorization :  Bearer a:b \n\ncookie: c=d\n"
      })
      assert.deepStrictEqual(
        Object.entries(webSocket?.headers ?? {}).map(([name, value]) => [name, Redacted.value(value)]),
        [["authorization", "Bearer a:b"], ["cookie", "c=d"]]
      )
    }))

  it.effect("with a variable whose name goes on in another one reads both", () =>
    Effect.gen(function*() {
      const config = yield* fromEnv({ NATS_TLS_CA_FILE: "/ca.pem", NATS_CREDS_FILE: "/john.creds" })
      assert.strictEqual(config.tls.caFile, "/ca.pem")
      assert.deepStrictEqual(config.auth, { _tag: "CredsFile", path: "/john.creds" })
    }))

  const faults: ReadonlyArray<readonly [string, Record<string, string>, ReadonlyArray<string>]> = [
    ["two ways to authenticate", { NATS_USER: "j", NATS_PASSWORD: "p", NATS_TOKEN: "t" }, [
      "NATS_USER",
      "NATS_PASSWORD",
      "NATS_TOKEN"
    ]],
    ["half a way to authenticate", { NATS_USER: "j" }, ["NATS_PASSWORD: is missing"]],
    ["credentials in the URL too", { NATS_URL: "nats://a:b@c", NATS_USER: "a", NATS_PASSWORD: "b" }, [
      "NATS_USER, NATS_PASSWORD: clashes with the user info in NATS_URL: give the credentials in one place."
    ]],
    ["credentials of a server of their own", { NATS_URL: "nats://a:b@c,nats://d:e@f" }, [
      "NATS_URL[1]: has other user info than another server: give the credentials once, as NATS_USER and NATS_PASSWORD, or NATS_TOKEN."
    ]],
    ["a certificate without a key", { NATS_TLS_CERT_FILE: "/c" }, [
      "NATS_TLS_CERT_FILE: needs its private key: set NATS_TLS_KEY or NATS_TLS_KEY_FILE"
    ]],
    ["a wrong port in a list", { NATS_URL: "a,b:0" }, ["NATS_URL[1]: has a port"]],
    ["a comma in a password", { NATS_URL: "u:123,w@host" }, ["NATS_URL: has an \"@\" behind a comma"]],
    ["TLS for a part of a list", { NATS_URL: "tls://a,nats://b" }, ["NATS_URL[1]: is nats:// beside tls://"]],
    ["an authority for ws://", { NATS_URL: "ws://a", NATS_TLS_CA_FILE: "/ca.pem" }, [
      "NATS_TLS_CA_FILE: requires TLS and clashes with ws:// in NATS_URL: use wss://"
    ]],
    ["a header without its value", { NATS_WEBSOCKET_HEADERS: "cookie: a=b\\nauthorization" }, [
      "NATS_WEBSOCKET_HEADERS: must have a value for each name"
    ]],
    ["headers as JSON", { NATS_WEBSOCKET_HEADERS: "{\"cookie\":\"a=b\"}" }, [
      "NATS_WEBSOCKET_HEADERS: must have a value for each name"
    ]],
    ["a header twice", { NATS_WEBSOCKET_HEADERS: "cookie: a=b\ncookie: c=d" }, [
      "each name once, and is text"
    ]],
    ["a header of the handshake", { NATS_WEBSOCKET_HEADERS: "upgrade: a" }, [
      "NATS_WEBSOCKET_HEADERS.upgrade: is written by the handshake"
    ]],
    ["no number", { NATS_MAX_PING_OUT: "two" }, ["NATS_MAX_PING_OUT: must be a whole number"]],
    ["reconnecting off and on", { NATS_RECONNECT: "false", NATS_RECONNECT_FACTOR: "3" }, [
      "NATS_RECONNECT: clashes with NATS_RECONNECT_FACTOR"
    ]],
    ["a boolean for the first connect", { NATS_RECONNECT_ON_FIRST_CONNECT: "yes" }, [
      "NATS_RECONNECT_ON_FIRST_CONNECT: must be \"fail\", \"wait\" or \"background\": write \"wait\" in place of true"
    ]],
    ["two policies", { NATS_WHILE_DISCONNECTED: "wait", NATS_WHILE_DISCONNECTED_BUFFER: "3" }, [
      "NATS_WHILE_DISCONNECTED: clashes with NATS_WHILE_DISCONNECTED_BUFFER"
    ]]
  ]
  for (const [name, env, words] of faults) {
    it.effect(`with ${name} is refused by the names of the variables`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(fromEnv(env))
        assert.include(error.message, "environment NATS_*")
        for (const word of words) {
          assert.include(error.message, word)
        }
        const configError = yield* Effect.flip(NatsConfig.config().parse(ConfigProvider.fromEnv({ env })))
        assert.strictEqual(configError._tag, "ConfigError")
      }))
  }
})

describe("a configuration file", () => {
  const fromText = (text: string) =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
      )
      const file = path.join(directory, "nats.json")
      fs.writeFileSync(file, text)
      return { file, exit: yield* Effect.result(NatsConfig.fromFile(file)) }
    })

  it.effect("decodes, a byte order mark before it or not", () =>
    Effect.gen(function*() {
      for (const mark of ["", "\uFEFF"]) {
        const { exit } = yield* fromText(`${mark}{ "auth": { "user": "john", "password": "johnpassword" } }`)
        assert.strictEqual(Result.isSuccess(exit) ? exit.success.auth._tag : "", "UserPassword")
      }
    }))

  it.effect("has a path that can be shown, whatever was given as one", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(NatsConfig.fromFile(`/no/\u001b[2J\u202e${"x".repeat(10_000)}`))
      assert.match(error.message, /^[ -~…]*$/)
      assert.include(error.message, String.raw`(/no/\u001b[2J\u202exxx`)
      assert.isBelow(error.message.length, 800)
    }))

  it.effect("that is missing is refused by its name", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(NatsConfig.fromFile("/no/such/nats.json"))
      assert.strictEqual(
        error.message,
        "The NATS configuration (/no/such/nats.json) is invalid: it cannot be read: there is no such file."
      )
    }))

  const faults: ReadonlyArray<readonly [string, string, string]> = [
    [
      "a comma too many",
      "{\n  \"name\": \"a\",\n}",
      "line 3, column 1, where a key in double quotes must stand: JSON has no comma behind the last entry"
    ],
    ["a comma too few", "{ \"name\": \"a\" \"auth\": 5 }", "line 1, column 15, where a comma or } must stand"],
    ["no colon", "{ \"name\" \"a\" }", "line 1, column 10, where a colon must stand"],
    ["no end", "{ \"servers\": [\"a\"", "line 1, column 18, where a comma or ] must stand"],
    ["nothing in it", "", "line 1, column 1, where a value must stand: there is nothing in it"],
    ["text after it", "{} x", "line 1, column 4, where the end of the text must stand"],
    ["a line break in text", "{\n\"name\": \"a\nb\" }", "line 2, column 11, where a value must stand"]
  ]
  for (const [name, text, where] of faults) {
    it.effect(`with ${name} is refused with the place and none of the text`, () =>
      Effect.gen(function*() {
        const { exit, file } = yield* fromText(text)
        assert.strictEqual(
          Result.isFailure(exit) ? exit.failure.message : "",
          `The NATS configuration (${file}) is invalid: it is not JSON at ${where}.`
        )
      }))
  }
})
