/** The words of other clients and tools: each is refused as a key that is not known, with what to write in its place. */
import { assert, describe, it } from "@effect/vitest"
import { NatsConfig } from "effect-nats"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { hintFor, hintsOf, normal } from "../src/internal/config/hints.ts"
import { keysOf, options } from "../src/internal/config/keys.ts"

const problemsOf = (input: unknown): ReadonlyArray<readonly [string, string]> => {
  const decoded = NatsConfig.decodeResult(input)
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ path, problem }) => [path, problem] as const) : []
}

const words = (text: string): ReadonlyArray<string> => text.trim().split(/\s+/)

/** What those who come from elsewhere have in their configuration. */
const clients: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  [
    "nats.js",
    words(
      `authenticator debug ignoreAuthErrorAbort ignoreClusterUpdates inboxPrefix maxPingOut maxReconnectAttempts name
      noAsyncTraces noEcho noRandomize pass pedantic pingInterval port reconnect reconnectDelayHandler reconnectJitter
      reconnectJitterTLS reconnectTimeWait reconnectToServer resolve servers timeout tls token user verbose
      waitOnFirstConnect wsFactory`
    )
  ],
  [
    "nats.js before 2",
    words(`url encoding json nkey nonceSigner payload preserveBuffers tokenHandler userCreds userJWT useOldRequestStyle
      yieldTime`)
  ],
  [
    "nats.go",
    words(`Url InProcessServer Servers NoRandomize NoEcho Name Verbose Pedantic Secure TLSConfig TLSCertCB
      TLSHandshakeFirst RootCAsCB AllowReconnect MaxReconnect ReconnectWait CustomReconnectDelayCB ReconnectJitter
      ReconnectJitterTLS Timeout DrainTimeout FlusherTimeout PingInterval MaxPingsOut ClosedCB DisconnectedCB
      DisconnectedErrCB ConnectedCB ReconnectedCB DiscoveredServersCB AsyncErrorCB ReconnectErrCB ReconnectBufSize
      SubChanLen UserJWT Nkey SignatureCB User Password UserInfo Token TokenHandler Dialer CustomDialer
      UseOldRequestStyle NoCallbacksAfterClientClose LameDuckModeHandler RetryOnFailedConnect Compression ProxyPath
      InboxPrefix IgnoreAuthErrorAbort SkipHostLookup PermissionErrOnSubscribe WebSocketConnectionHeaders
      WebSocketConnectionHeadersHandler SkipSubjectValidation IgnoreDiscoveredServers WriteBufferSize`)
  ],
  [
    "nats.py and Panini",
    words(`servers error_cb disconnected_cb closed_cb discovered_server_cb reconnected_cb name pedantic verbose
      allow_reconnect connect_timeout reconnect_time_wait max_reconnect_attempts ping_interval max_outstanding_pings
      dont_randomize flusher_queue_size no_echo tls tls_hostname tls_handshake_first user password token drain_timeout
      signature_cb user_jwt_cb user_credentials nkeys_seed nkeys_seed_str inbox_prefix pending_size flush_timeout host
      port service_name client_nats_name reconnecting_time_sleep allocation_queue_group logger_required
      logger_files_path logger_in_separate_process custom_logger pending_bytes_limit ignore_tasks_exceptions auth
      enable_js loop`)
  ],
  [
    "a context of the nats tool",
    words(`name description url socks_proxy token user password creds nkey cert key ca nsc jetstream_domain
      jetstream_api_prefix jetstream_event_prefix inbox_prefix user_jwt color_scheme tls_first windows_cert_store
      windows_cert_match_by windows_cert_match windows_ca_certs_match`)
  ],
  ["NestJS", words("transport options headers queue serializer deserializer gracefulShutdown gracePeriod")],
  ["a server's configuration", words("listen authorization accounts jetstream cluster leafnodes http_port")]
]

describe("a key of another client", () => {
  for (const [client, keys] of clients) {
    it(`is answered with a word of its own, for each of ${client}`, () => {
      const without = keys.filter((key) => !keysOf("").includes(key)).filter((key) => {
        const problem = problemsOf({ [key]: "c4n4ry" }).find(([path]) => path === key) ?? assert.fail(key)
        assert.notInclude(problem[1], "c4n4ry")
        return !/^this key is not known: (?:use |there is none, |give |write |it is of |did you mean )/.test(problem[1])
      })
      assert.deepStrictEqual(without, [])
    })
  }

  const examples: ReadonlyArray<readonly [string, unknown, ReadonlyArray<readonly [string, string]>]> = [
    ["at the root", { pass: "p", maxReconnectAttempts: -1, verbose: true }, [
      ["pass", "use `auth: { user, password }`"],
      ["maxReconnectAttempts", "use `reconnect.maxAttempts`"],
      ["verbose", "there is none, as every operation tells its own failure"]
    ]],
    ["that stands in a section here", { caFile: "/ca", maxAttempts: 5, tlsCa: "x", reconnectJitter: 5 }, [
      ["caFile", "use `tls.caFile`"],
      ["maxAttempts", "use `reconnect.maxAttempts`"],
      ["tlsCa", "use `tls.ca`"],
      ["reconnectJitter", "use `reconnect.jitter`"]
    ]],
    ["that stands at the root here", { tls: { connectTimeout: 5 }, reconnect: { pingInterval: 5 } }, [
      ["tls.connectTimeout", "it belongs beside `tls`, as `connectTimeout`"],
      ["reconnect.pingInterval", "it belongs beside `reconnect`, as `pingInterval`"]
    ]],
    ["of NestJS", { transport: "NATS", options: { servers: [] } }, [
      ["transport", "there is none, it is of NestJS: what stands in its `options` belongs here"],
      ["options", "it is of NestJS: what stands in it belongs here, one level up"]
    ]],
    ["of node:tls", { tls: { rejectUnauthorized: false, minVersion: "TLSv1.3" } }, [
      [
        "tls.rejectUnauthorized",
        "the server is always verified; what turns that off is `dangerouslyDisableVerification`"
      ],
      ["tls.minVersion", "there is none, those of Node count"]
    ]]
  ]
  for (const [name, input, expected] of examples) {
    it(`${name} is told what is right here`, () => {
      assert.deepStrictEqual(
        problemsOf(input),
        expected.map(([path, hint]) => [path, `this key is not known: ${hint}`])
      )
    })
  }

  it("that nobody knows lists the known ones, once for each section", () => {
    const problems = problemsOf({ bogus: 1, gobus: 2, tls: { bogus: 1, gobus: 2 } })
    assert.deepStrictEqual(problems.map(([path]) => path), ["bogus", "gobus", "tls", "tls"])
    assert.deepStrictEqual(problems.map(([, problem]) => problem.includes("`")), [true, false, true, false])
  })

  it("is one of twenty that are told one by one", () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`bogus${"x".repeat(i)}`, 1]))
    const problems = problemsOf(many)
    assert.lengthOf(problems, 21)
    assert.deepStrictEqual(problems[20], ["", "the configuration has more than 20 keys that are not known"])
  })

  it("is shown without what moves a cursor or forges a line", () => {
    const [[path, problem]] = problemsOf({ "ser\u001b[2Jvers\n": "a" })
    assert.strictEqual(path, "ser\\u001b[2Jvers\\n")
    assert.strictEqual(problem, "this key is not known: did you mean `servers`?")
    const wrong = Schema.decodeUnknownResult(NatsConfig.NatsConfig)({ "ser\u001bvers": 1, "u\u001brl": 1 })
    assert(Result.isFailure(wrong))
    assert.include(wrong.failure.message, "did you mean `servers`?")
    assert.notInclude(wrong.failure.message, "\u001b")
    for (const key of ["url", "servers"]) {
      assert.isBelow(problemsOf({ [`${key}${"-".repeat(1000)}`]: "a" })[0][0].length, 100)
    }
  })
})

describe("what is said of a key", () => {
  const sections = ["", "auth", "tls", "webSocket", "reconnect", "whileDisconnected"] as const
  // What is not an option: of a client, of a subscription, of a program beside.
  const others = words("status closed queue options _tag capacity capacityBytes SubjectSchema Effect.timeout nats")
  const known = new Set([
    ...Object.keys(options),
    "auth",
    "tls",
    "webSocket",
    "nsc generate creds",
    ...keysOf("auth"),
    ...keysOf("tls"),
    ...keysOf("webSocket"),
    ...keysOf("reconnect"),
    ...keysOf("whileDisconnected"),
    ...others
  ])

  it("names options that exist", () => {
    const named = sections.flatMap((section) => [...hintsOf(section).values()]).flatMap((hint) =>
      [...hint.matchAll(/`([^`{]+?)(?:: [^`]*)?`/g)].map(([, name]) => name.replace(/[:\s]+$/, ""))
    )
    assert.deepStrictEqual([...new Set(named)].filter((name) => !known.has(name)), [])
    assert.include(named, "reconnect.maxAttempts")
  })

  it("is never of a key that is known there", () => {
    for (const section of sections) {
      assert.deepStrictEqual(
        keysOf(section).map(normal).filter((key) => hintsOf(section).has(key)),
        section === "tls" ? ["servername"] : []
      )
    }
    assert.strictEqual(hintFor("tls", "servername"), "use `serverName`")
  })
})
