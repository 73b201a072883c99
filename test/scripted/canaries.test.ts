/**
 * Scripted: strangers that send a client's secrets back, in every place where their words come in and in every form. No
 * server repeats what it was sent so thoroughly.
 *
 * Of a secret no eight characters in a row may be seen, in whatever form; no text of a stranger is long, and none moves a
 * cursor. What their words mean is told all the same.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { NatsClient, NatsHealth } from "effect-nats"
import { TestCertificates } from "effect-nats/testing"
import { createPrivateKey } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { Texts } from "../fixtures/allTexts.ts"
import { recordStatus } from "../fixtures/clients.ts"
import { directory } from "../fixtures/directory.ts"
import { credsText, identity } from "../fixtures/identity.ts"
import * as Stranger from "../fixtures/stranger.ts"

/** Who the client is, and what of that nobody may see. */
interface Method {
  readonly name: string
  readonly options: (port: number, otherPort: number) => NatsClient.Options
  readonly secrets: ReadonlyArray<string>
}

// With characters that each encoding writes in another way.
const password = "Kq7\"é/Zr%w\\9t&Yb+Xm=4Lh"
const token = "Vw8\"tok.Jd/ö5%Gs\\2 Pn_Hc0Qe"
const passphrase = "Fz3 Ty\"6Ru/%1Ks\\8Wd"
const header = "Bearer Bq4~Mf9!Lz2/Xv7%Nj5\"Tg"

const clear = (port: number): string => `nats://127.0.0.1:${port}`
const webSocket = (port: number): string => `ws://127.0.0.1:${port}`

/** A PEM has lines of base64 between two that say nothing. */
const linesOf = (pem: string): ReadonlyArray<string> => [pem.replace(/-----[^-]+-----|\s/g, "")]

const methods = Effect.gen(function*() {
  const john = identity(7)
  const jwt = john.jwt({ name: "john", jti: "Zx6Wq1Rv8Ny3" })
  const bearer = john.jwt({ jti: "Gd4Hs9Kb2Mt7", nats: { type: "user", version: 2, bearer_token: true } })
  const creds = credsText(jwt, john.seed)
  const credsFile = path.join(yield* directory, "john.creds")
  fs.writeFileSync(credsFile, creds, { mode: 0o600 })
  const authority = yield* TestCertificates.authority()
  const certificate = yield* authority.issue()
  const key = String(
    createPrivateKey(certificate.key).export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase })
  )
  const both = (auth: NatsClient.Options["auth"]) => (port: number): NatsClient.Options => ({
    servers: clear(port),
    auth
  })
  const all: ReadonlyArray<Method> = [
    { name: "user and password", options: both({ user: "john", password }), secrets: [password] },
    {
      name: "token for two servers",
      options: (port, otherPort) => ({ servers: [clear(port), clear(otherPort)], auth: { token } }),
      secrets: [token]
    },
    { name: "bearer JWT", options: both({ _tag: "Jwt", jwt: bearer }), secrets: [bearer] },
    { name: "JWT with seed", options: both({ _tag: "Jwt", jwt, seed: john.seed }), secrets: [jwt, john.seed] },
    { name: "NKey seed", options: both({ _tag: "NKey", seed: john.seed }), secrets: [john.seed] },
    { name: "creds text", options: both({ _tag: "Creds", creds }), secrets: [jwt, john.seed] },
    { name: "creds file", options: both({ _tag: "CredsFile", path: credsFile }), secrets: [jwt, john.seed] },
    {
      name: "user info of a URL",
      options: (port) => ({ servers: `nats://john:${encodeURIComponent(password)}@127.0.0.1:${port}` }),
      secrets: [password]
    },
    {
      name: "TLS key with passphrase",
      options: (port) => ({ servers: clear(port), tls: { cert: certificate.cert, key, passphrase } }),
      secrets: [...linesOf(key), passphrase]
    }
  ]
  const overWebSocket: ReadonlyArray<Method> = [
    {
      name: "header of a WebSocket",
      options: (port) => ({
        servers: webSocket(port),
        webSocket: { headers: { authorization: Redacted.make(header) } }
      }),
      secrets: [header]
    },
    {
      name: "password over a WebSocket",
      options: (port) => ({ servers: webSocket(port), auth: { user: "john", password } }),
      secrets: [password]
    }
  ]
  return { all, overWebSocket }
})

const jsonEscaped = (text: string): string => JSON.stringify(text).slice(1, -1)
const percent = (text: string): string => encodeURIComponent(text)
const inLowerCase = (text: string): string => percent(text).replace(/%[0-9A-F]{2}/g, (byte) => byte.toLowerCase())

/** How a secret comes back. */
const formsOf = (secret: string): ReadonlyArray<string> => {
  const middle = secret.length >> 1
  return [
    secret,
    `CONNECT {"verbose":false,"pedantic":false,"user":"john","pass":${JSON.stringify(secret)},"lang":"x"}`,
    jsonEscaped(secret),
    percent(secret),
    inLowerCase(secret),
    secret.slice(0, 8),
    secret.slice(-8),
    secret.slice(middle - 4, middle + 4),
    `${"x".repeat(450_000)}${secret}${"y".repeat(450_000)}`,
    // Where a text is cut, at 256 and elsewhere, it may be cut within the secret.
    `${"x".repeat(240)} ${secret}`,
    `${"x".repeat(500)} ${secret}`,
    `\u001b[2J\u0007${secret}\u0085\u202e\u2028\u009b31m`
  ]
}

/** A word that says nothing. What is told of it is told of a secret. */
const plain = "hello"

/** The middle of it, where a line would be too long for any client. */
const fitting = (text: string): string => text.length < 10_000 ? text : text.slice(445_000, -445_000)

const inInfo = (given: string): Readonly<Record<string, unknown>> => {
  const text = fitting(given)
  return {
    server_id: text,
    server_name: text,
    version: text,
    cluster: text,
    domain: text,
    connect_urls: [text, `${text}:4222`, "10.0.0.1:4222"],
    ws_connect_urls: [text]
  }
}

type Place = readonly [name: string, play: (text: string) => Stranger.Play]

const places: ReadonlyArray<Place> = [
  ["-ERR in place of INFO", (text) => Stranger.atOnce(`-ERR '${text}'\r\n`)],
  ["-ERR in place of INFO that leaves open", (text) => Stranger.atOnce(`-ERR 'Permissions Violation ${text}'\r\n`)],
  ["words in place of INFO", (text) => Stranger.atOnce(`${text}\r\n`)],
  ["INFO that is no JSON", (text) => Stranger.atOnce(`INFO {"server_id":${text}\r\n`)],
  ["an answer of HTTP", (text) => Stranger.atOnce(`HTTP/1.1 400 ${text}\r\nServer: ${text}\r\n\r\n${text}`)],
  ["-ERR after CONNECT", (text) => Stranger.afterConnect(`-ERR '${text}'\r\n`)],
  ["a refusal after CONNECT", (text) => Stranger.afterConnect(`-ERR 'Authorization Violation: ${text}'\r\n`)],
  [
    "an expiry after CONNECT",
    (text) => Stranger.afterConnect(`-ERR '${text.slice(0, 99)} User Authentication Expired'\r\n`)
  ],
  ["no protocol after CONNECT", (text) => Stranger.afterConnect(`${text}\r\n`)],
  ["the fields of INFO", (text) => Stranger.onceConnected("-ERR 'Stale Connection'\r\n", inInfo(text), text)],
  ["-ERR after PONG", (text) => Stranger.onceConnected(`-ERR '${text}'\r\n`)],
  ["a later INFO", (text) => Stranger.onceConnected(Stranger.greeting({ ...inInfo(text), ldm: true }))],
  [
    "a denial",
    (given) => {
      const text = fitting(given)
      return Stranger.onceConnected(
        `-ERR 'Permissions Violation for Publish to "${text}"'\r\n` +
          `-ERR 'Permissions Violation for Subscription to "${text}" using queue "${text}"'\r\n` +
          `-ERR 'Invalid Subject ${text}'\r\n`
      )
    }
  ],
  ["no protocol after PONG", (text) => Stranger.onceConnected(`${text}\r\n`)]
]

const http = (text: string): Stranger.Play => (socket, received) => {
  if (received.includes("\r\n\r\n")) {
    socket.end(`HTTP/1.1 403 ${text}\r\nServer: ${text}\r\nLocation: http://${text}/\r\nX-${text}: 1\r\n\r\n${text}`)
  }
}

const info = Stranger.frame(2, Stranger.greeting())

const webSocketPlaces: ReadonlyArray<Place> = [
  ["HTTP in place of the upgrade", http],
  ["a close in place of INFO", (text) => Stranger.webSocket(Stranger.closeFrame(text))],
  ["a text in place of INFO", (text) => Stranger.webSocket(Stranger.frame(1, `-ERR '${text}'\r\n`))],
  ["-ERR after CONNECT", (text) => Stranger.webSocket(info, Stranger.frame(2, `-ERR '${text}'\r\n`))],
  ["a close after CONNECT", (text) => Stranger.webSocket(info, Stranger.closeFrame(text))],
  ["a ping after CONNECT", (text) => Stranger.webSocket(info, Stranger.frame(9, text.slice(-60)))]
]

/** Greets as an echo port cannot, and repeats whatever comes. */
const echo: Stranger.Play = (socket, received) => {
  if (received === "") socket.write(Stranger.greeting())
  else socket.end(received, "latin1")
}

/** Everything that is seen of a client from its dial to its end. */
const seenOf = (options: NatsClient.Options) =>
  Effect.gen(function*() {
    const texts = new Texts()
    const told: Array<string> = []
    const dialled = Effect.gen(function*() {
      const nats = yield* NatsClient.make({ ...options, name: "orders", reconnect: false, banner: true })
      const status = yield* recordStatus(nats)
      const ended = yield* Effect.exit(Effect.andThen(Effect.ignore(nats.flush), nats.closed))
      yield* status.nth("Closed")
      texts.exit(ended)
      texts.value(yield* nats.state)
      texts.value(yield* nats.stats)
      texts.value(yield* NatsHealth.check(nats))
      texts.value(nats)
      for (const event of status.events) {
        texts.value(event)
        told.push(event._tag === "Closed" ? `Closed ${event.reason?._tag}` : event._tag)
      }
      yield* Effect.logError("it has ended", ended)
    })
    const exit = yield* texts.keeping(
      Effect.exit(Effect.withSpan(
        Effect.tapError(Effect.scoped(dialled), (error) => {
          told.push(error._tag)
          return Effect.logError(error)
        }),
        "program"
      ))
    )
    texts.exit(exit)
    return { texts: texts.all, told: told.join(", ") }
  })

// oxlint-disable-next-line no-control-regex
const unprintable = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/

/** The runs of eight of the secrets as they are and in each encoding, by their length. */
const runsOf = (secrets: ReadonlyArray<string>): ReadonlyMap<number, ReadonlySet<string>> => {
  const runs = new Map<number, Set<string>>()
  for (const secret of secrets) {
    for (let start = 0; start + 8 <= secret.length; start++) {
      const run = secret.slice(start, start + 8)
      for (const form of [run, jsonEscaped(run), percent(run), inLowerCase(run)]) {
        const ofLength = runs.get(form.length) ?? new Set()
        runs.set(form.length, ofLength.add(form))
      }
    }
  }
  return runs
}

const holdsRun = (text: string, runs: ReadonlyMap<number, ReadonlySet<string>>): boolean => {
  for (const [length, forms] of runs) {
    for (let start = 0; start + length <= text.length; start++) {
      if (forms.has(text.slice(start, start + length))) return true
    }
  }
  return false
}

/** Each has a test of its own, with the time of one. */
const cases = [
  "user and password",
  "token for two servers",
  "bearer JWT",
  "JWT with seed",
  "NKey seed",
  "creds text",
  "creds file",
  "user info of a URL",
  "TLS key with passphrase",
  "header of a WebSocket",
  "password over a WebSocket"
]

describe("0 canaries in 3,000 texts", () => {
  let count = 0
  let dials = 0
  let turn = 0

  for (const name of cases) {
    it.live(name, () =>
      Effect.gen(function*() {
        // Frames say where in this package an error was made, and are as long as they are.
        const frames = Error.stackTraceLimit
        Error.stackTraceLimit = 0
        const terminal = process.stdout.isTTY
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            Error.stackTraceLimit = frames
            process.stdout.isTTY = terminal
          })
        )
        const stranger = yield* Stranger.make
        const { all, overWebSocket } = yield* methods
        assert.deepStrictEqual([...all, ...overWebSocket].map((method) => method.name), cases)
        const leaks: Array<string> = []
        const look = Effect.fnUntraced(function*(method: Method, place: string, text: string, play: Stranger.Play) {
          stranger.play = play
          // The banner is a frame on a terminal, and a line of the log elsewhere.
          process.stdout.isTTY = dials++ % 2 === 0
          const { texts, told } = yield* seenOf(method.options(stranger.port, stranger.otherPort))
          count += texts.length
          const runs = runsOf(method.secrets)
          for (const seen of new Set(texts)) {
            const at = `${method.name}, ${place}, ${JSON.stringify(text.slice(0, 60))}: ${
              JSON.stringify(seen.slice(0, 400))
            }`
            if (holdsRun(seen, runs)) leaks.push(`canary: ${at}`)
            if (seen.length > 4096) leaks.push(`${seen.length} characters: ${at}`)
            if (unprintable.test(seen)) leaks.push(`unprintable: ${at}`)
          }
          return told
        })
        for (const [kinds, where] of [[all, places], [overWebSocket, webSocketPlaces]] as const) {
          for (const method of kinds.filter((method) => method.name === name)) {
            for (const [place, play] of where) {
              const meant = yield* look(method, place, plain, play(plain))
              // Every fourth form, another one in each place: all of them in all places take too long.
              turn++
              for (const text of method.secrets.flatMap(formsOf).filter((_, i) => (i + turn) % 4 === 0)) {
                const told = yield* look(method, place, text, play(text))
                if (told !== meant) leaks.push(`${told} for ${meant}: ${method.name}, ${place}, ${text.slice(0, 60)}`)
              }
            }
            yield* look(method, "an echo port", "", echo)
          }
        }
        assert.deepStrictEqual(leaks.slice(0, 20), [], `${leaks.length} in ${count} texts`)
      }), 60_000)
  }

  it("were looked for in as many", () => {
    assert.isAbove(count, 3_000)
  })
})
