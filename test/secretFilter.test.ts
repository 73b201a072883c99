/** What a client shows of the words of others, and what it keeps to itself of them. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectError, type NatsStatus } from "effect-nats"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { Refusals } from "../src/internal/connection/refusals.ts"
import { serverErrorText } from "../src/internal/protocol/serverError.ts"
import { fromEnd, fromTcp, type TlsState } from "../src/internal/wire/connectFailure.ts"
import { SecretFilter, withheld } from "../src/internal/wire/secretFilter.ts"
import { ServerWord } from "../src/internal/wire/transport.ts"
import { address, anonymous, password, token } from "./fixtures/dialling.ts"
import { rendered } from "./fixtures/rendered.ts"
import { Dice } from "./protocol/streams.ts"

const canary = "CANARYPASSWORD7"
const tls = { mode: "prefer", handshakeFirst: false, dangerouslyDisableVerification: false } as const
const server = address("nats://a:4222")
const dial = { credentials: anonymous, tls, headers: undefined, server }

const knowing = (...credentials: ReadonlyArray<typeof anonymous>): SecretFilter => {
  const filter = new SecretFilter()
  for (const each of credentials) filter.add({ ...dial, credentials: each })
  return filter
}

describe("the secrets of a dial", () => {
  it("are each that is sent or that proves something, and not the user's name", () => {
    const filter = new SecretFilter()
    filter.add({
      credentials: {
        method: "Creds",
        source: "test",
        user: "john-the-user",
        password: Redacted.make("a-password"),
        token: Redacted.make("some-token"),
        jwt: Redacted.make("eyJ0eXAiOiJKV1Qi.claims-of-it"),
        seed: Redacted.make("SUACSSL3UAHUDXKFSNVUZRF5UH")
      },
      tls: { ...tls, key: Redacted.make("MC4CAQAwBQYDK2VwBCIE"), passphrase: Redacted.make("open-sesame") },
      headers: { authorization: Redacted.make("Bearer 0123456789") },
      server: { ...server, scheme: "ws", path: "/nats?tenant=ab&access=query-token-1" }
    })
    for (
      const secret of [
        "a-password",
        "some-token",
        "claims-of-it",
        "UAHUDXKF",
        "K2VwBCIE",
        "open-sesame",
        "01234567",
        "query-token"
      ]
    ) assert.isTrue(filter.repeats(`-ERR '${secret}'`), secret)
    for (const text of ["john-the-user", "tenant", "Authorization Violation"]) {
      assert.isFalse(filter.repeats(text), text)
    }
  })

  it("of earlier dials are known, too, and the latest always", () => {
    const filter = knowing(password("a", "first-secret"), token("second-secret"))
    assert.isTrue(filter.repeats("first-secret"))
    assert.isTrue(filter.repeats("second-secret"))
    for (let n = 0; n < 300; n++) filter.add({ ...dial, credentials: token(`number ${n} of them`) })
    assert.isTrue(filter.repeats("number 299 of them"))
    assert.isTrue(filter.repeats("number 180 of"))
    assert.isFalse(filter.repeats("first-secret"), "it has an end")
    filter.add({ ...dial, credentials: token("x".repeat(100_000)) })
    assert.isTrue(filter.repeats("x".repeat(8)))
    assert.isFalse(filter.repeats("number 299 of them"))
  })

  it.effect("are in nothing that is seen of the filter", () =>
    Effect.gen(function*() {
      const filter = knowing(password("john", canary))
      assert.isTrue(filter.repeats(canary))
      assert.notInclude(yield* rendered(filter), "CANARYPA")
    }))
})

describe("a text", () => {
  it("is shown, or withheld as a whole", () => {
    const filter = knowing(password("john", canary))
    const show = (raw: string): string => `<${raw}>`
    assert.strictEqual(filter.shown("hello", show), "<hello>")
    assert.strictEqual(filter.shown(`so ${canary} it is`, show), withheld)
    assert.strictEqual(withheld, "withheld: it repeats a secret")
    // What is cut off in front brings the secret to the eye, and an escape can be what is in it.
    assert.strictEqual(filter.shown(`${" ".repeat(9_000)}${canary}`, serverErrorText), withheld)
    // As long as any name is shown.
    const long = (raw: string): string => raw.slice(0, 1024)
    assert.strictEqual(filter.shown(`${"x".repeat(1_000)}${canary}`, long), withheld)
    assert.strictEqual(knowing(token("X\\u001bYZ")).shown("X\x1bYZ", serverErrorText), withheld)
  })
})

describe("a flood of texts with escapes", () => {
  it.effect("is looked at up to an end in one turn, and what is not looked at is withheld", () =>
    Effect.gen(function*() {
      const filter = knowing(password("john", canary))
      const shown = (n: number): string => filter.shown(`${n} ${"%25".repeat(300)}`, serverErrorText)
      const texts = Array.from({ length: 2_000 }, (_, n) => shown(n))
      assert.notStrictEqual(texts[5], withheld)
      assert.isAtLeast(texts.filter((text) => text === withheld).length, 1_990)
      assert.strictEqual(filter.shown("Stale Connection", serverErrorText), "Stale Connection")
      yield* Effect.promise(() => Promise.resolve())
      assert.notStrictEqual(shown(7), withheld)
    }))
})

describe("of a text that is shown", () => {
  const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 ** 31 - 1 }))
  const ways: ReadonlyArray<(text: string) => string> = [
    (text) => text,
    (text) => JSON.stringify(text).slice(1, -1),
    (text) => encodeURIComponent(text),
    (text) => encodeURIComponent(text).replace(/%../g, (hex) => hex.toLowerCase()),
    (text) => encodeURIComponent(JSON.stringify(text).slice(1, -1))
  ]
  const pieces = ["a", "B", "7", "/", "+", "%", "\\", "\x1b", "\"", "'", " ", "\n", "é", "\u202e", "="]
  const someText = (dice: Dice, length: number): string => Array.from({ length }, () => dice.pick(pieces)).join("")

  it.prop("no eight characters of a secret are to be seen, whatever it is made of", { seed }, ({ seed }) => {
    const dice = new Dice(seed)
    const secret = someText(dice, 6 + dice.below(30))
    const other = token(someText(dice, 20))
    const runs = Array.from({ length: Math.max(0, secret.length - 7) }, (_, start) => secret.slice(start, start + 8))
    for (let round = 0; round < 20; round++) {
      const parts = Array.from({ length: 1 + dice.below(6) }, () => {
        const start = dice.below(secret.length)
        return dice.below(3) === 0
          ? dice.pick(["x", "-", "no "]).repeat(dice.below(80))
          : dice.pick(ways)(secret.slice(start, start + 1 + dice.below(10)))
      })
      // One that has not looked at anything in this turn.
      const filter = knowing(other, password("john", secret))
      const shown = filter.shown(parts.join(dice.pick(["", " ", "…", "%", "\\"])), serverErrorText)
      for (const run of runs) {
        for (const way of ways) assert.isFalse(shown.includes(way(run)), JSON.stringify({ secret, parts, shown, run }))
      }
    }
  })
})

describe("what a server refuses", () => {
  it("names a subject and a queue group with an end, printable, and without a secret", () => {
    const events: Array<NatsStatus.StatusEvent> = []
    const filter = knowing(password("john", canary))
    const emit = (event: NatsStatus.StatusEvent): void => void events.push(event)
    const mux = { pattern: "_INBOX.a.>", failEach: () => {} }
    const refusals = new Refusals({ mux, subscriptions: new Map(), filter, emit } as never)
    const long = `a\u001b${"x".repeat(20_000)}`
    refusals.serverError(`Permissions Violation for Publish to "${long}"`, undefined)
    refusals.serverError(`Permissions Violation for Subscription to "${long}" using queue "${long}"`, undefined)
    refusals.serverError(`Permissions Violation for Publish to "${canary}"`, undefined)
    const told = events.flatMap((event) =>
      event._tag === "PermissionDenied" ? [event.error.subject, event.error.queue] : []
    )
    const shown = `a\\u001b${"x".repeat(1_017)}…`
    assert.deepStrictEqual(told, [shown, undefined, shown, shown, withheld, undefined])
  })
})

describe("the end of a connection", () => {
  const filter = knowing(password("john", canary))
  const peer = { server: "nats://a:4222", hosts: ["a", `${canary}.test`], method: "UserPassword", filter } as const
  const tls: TlsState = { verify: false, certificateFault: undefined, variables: undefined }
  const coded = (code: string): Error => Object.assign(new Error("no"), { code })

  it("is told by its code, on every system", () => {
    for (const code of ["ECONNRESET", "EPIPE", "ECONNABORTED", "ENOTCONN"]) {
      assert.deepInclude(fromTcp(peer, coded(code), 9), { _tag: "ConnectionReset", stage: "tcp" })
      assert.deepInclude(fromEnd(peer, "tls", coded(code), tls), { _tag: "ConnectionReset", stage: "tls" })
    }
    assert.deepInclude(fromTcp(peer, coded("EHOSTUNREACH"), 9), { _tag: "ConnectionRefused" })
    assert.deepInclude(fromEnd(peer, "tls", coded("EPROTO"), tls), { _tag: "TlsHandshakeFailed", code: "EPROTO" })
    assert.deepInclude(fromEnd(peer, "up", coded("EPROTO"), tls), { _tag: "ConnectionReset", stage: "up" })
  })

  it("names hosts that its certificate has to be for, and none that repeats a secret", () => {
    assert.deepInclude(fromEnd(peer, "tls", undefined, { ...tls, certificateFault: "CERT_HAS_EXPIRED" }), {
      _tag: "TlsCertificateInvalid",
      hosts: ["a", withheld]
    })
  })

  it("shows of the last word of a WebSocket no secret, and what is printable", () => {
    for (const [said, text] of [[`go ${canary}`, withheld], ["go\u001b[2J", "go\\u001b[2J"]]) {
      assert.deepInclude(fromEnd(peer, "up", new ServerWord("closed with 1011", said), tls), {
        _tag: "ServerRejected",
        text: `closed with 1011: ${text}`
      })
    }
  })

  it("shows of what is wrong with a certificate no secret, and what is printable", () => {
    for (const [fault, code] of [[canary, withheld], ["A\u001b[2J", "A\\u001b[2J"]]) {
      assert.deepInclude(fromEnd(peer, "tls", undefined, { ...tls, certificateFault: fault }), { code })
    }
  })
})

describe("a cause", () => {
  const filter = knowing(password("john", canary))
  const reset = Object.assign(new Error("read ECONNRESET"), { code: "ECONNRESET", errno: -104, syscall: "read" })
  const alert = Object.assign(new Error("0A:error:0A000412:SSL routines::bad certificate:SSL alert number 42\n"), {
    library: "SSL routines",
    code: "ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE",
    opensslErrorStack: ["error:1", "error:2"]
  })

  it("of which nothing is to be hidden stays as it is", () => {
    for (const error of [reset, alert, "a text", 4]) assert.deepStrictEqual(filter.cause(error), { cause: error })
    assert.deepStrictEqual(filter.cause(undefined), {})
  })

  const names = (text: string) =>
    Object.assign(new Error(`Hostname/IP does not match certificate's altnames: ${text}`), {
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      reason: text,
      host: "a",
      cert: { subjectaltname: text, raw: Buffer.alloc(3000) }
    })
  const nested = new Error("outer", { cause: new Error(`inner ${canary}`) })
  const hidden: ReadonlyArray<readonly [string, unknown, string, string]> = [
    ["a secret in a message", new Error(`got ${canary}`), "UNKNOWN", withheld],
    ["a secret in a field", Object.assign(new Error("no"), { host: canary }), "UNKNOWN", "no"],
    [
      "a secret in a field that is not enumerated",
      Object.defineProperty(new Error("no"), "h", { value: canary }),
      "",
      "no"
    ],
    ["a secret in an inner cause", nested, "UNKNOWN", "outer"],
    ["a secret in the name of a field", Object.assign(new Error("no"), { [canary]: 1 }), "", "no"],
    ["a secret as its code", Object.assign(new Error("no"), { code: canary }), "", "no"],
    ["a secret in what is no code", Object.assign(new Error("no"), { code: `E ${canary}` }), "", "no"],
    ["what is no code in its place", Object.assign(new Error("no"), { code: "A\u001b[2J" }), "", "no"],
    ["a secret far behind", new Error(`${"x ".repeat(1_500)}${canary}`), "", "x x"],
    [
      "a message that is no text",
      Object.assign(new Error("no"), { message: { canary } }),
      "",
      "a value of type object"
    ],
    ["a function in a field", Object.assign(new Error("no"), { shown: () => canary }), "", "no"],
    ["a certificate", Object.assign(new Error("no"), { cert: { subject: { CN: "a" } } }), "", "no"],
    [
      "more fields than anybody reads",
      Object.assign(new Error("no"), Object.fromEntries(Array.from({ length: 20 }, (_, n) => [`f${n}`, n]))),
      "",
      "no"
    ],
    ["a secret in a name of a certificate", names(`DNS:${canary}.test`), "ERR_TLS_CERT_ALTNAME_INVALID", withheld],
    [
      "an escape sequence in a name of a certificate",
      names("DNS:a\x1b[2J.test"),
      "ERR_TLS_CERT_ALTNAME_INVALID",
      "Hostname/IP does not match certificate's altnames: DNS:a\\u001b[2J.test"
    ],
    ["more than anybody reads", names(`DNS:${"x.".repeat(20_000)}`), "ERR_TLS_CERT_ALTNAME_INVALID", "Hostname"],
    [
      "a value that throws when it is looked at",
      {
        get message(): string {
          throw new Error(canary)
        }
      },
      "",
      "a value"
    ],
    ["a text with a secret", canary, "", "a value of type string"]
  ]
  for (const [what, original, code, message] of hidden) {
    it.effect(`with ${what} is told by its code, and is there for who asks`, () =>
      Effect.gen(function*() {
        const error = new ConnectError.ConnectionReset({
          server: "nats://a:4222",
          stage: "tls",
          ...filter.cause(original)
        })
        const { cause } = error
        assert(cause instanceof Error)
        assert.isTrue(cause.message.startsWith(message), cause.message)
        assert.isAtMost(cause.message.length, 513)
        if (code.startsWith("ERR_")) assert.propertyVal(cause, "code", code)
        else assert.notProperty(cause, "code")
        assert.strictEqual(Redacted.value(cause.cause as Redacted.Redacted<unknown>), original)
        const shown = yield* rendered(error)
        assert.notInclude(shown, "CANARYPA")
        assert.notInclude(shown, "\x1b[2J")
      }))
  }
})
