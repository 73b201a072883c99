/** What errors show of texts that strangers wrote, in every way in which they come to be seen. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schema } from "effect"
import { ConnectError, NatsError } from "effect-nats"
import { badArgument } from "effect/PlatformError"
import { noteEnd, type Part } from "../src/internal/operations/background.ts"
import { describeIssue, describeThrown } from "../src/internal/payload/decodeProblem.ts"
import { formatPath } from "../src/internal/payload/formatPath.ts"
import { InvalidService } from "../src/service/internal/invalidService.ts"
import { RpcServerLost } from "../src/service/internal/rpcFailure.ts"
import { connectErrorTags, natsErrorTags } from "./fixtures/errorTags.ts"
import { rendered } from "./fixtures/rendered.ts"

/** A title, a cleared screen, a forged line, C1, separators, text turned around, half a character. */
const hostile = "x\u001b]0;PWNED\u0007\u001b[2J\r\nFORGED\u0085\u009b31m\u2028\u2029\u202e\u2066\ud800\u007f"

// Line feeds are those of stacks and of printed objects.
const unprintable = /(?!\n)[\p{Cc}\u2028\u2029\p{Bidi_Control}\p{Cs}]/u

const refused = new ConnectError.ConnectionRefused({ server: "nats://a:4222" })

/** One of each class, with a stranger's text wherever it can have one. */
const errorsOf = (text: string): Readonly<Record<string, Error>> => ({
  PermissionsViolation: new NatsError.PermissionsViolation({ operation: "publish", subject: text, queue: text }),
  SubscriptionLimitExceeded: new NatsError.SubscriptionLimitExceeded({ subject: text, queue: text }),
  NoResponders: new NatsError.NoResponders({ subject: text }),
  RequestTimedOut: new NatsError.RequestTimedOut({ subject: text, timeoutMillis: 1 }),
  MaxPayloadExceeded: new NatsError.MaxPayloadExceeded({ subject: text, size: 2, limit: 1 }),
  InvalidSubject: new NatsError.InvalidSubject({ what: "subject", subject: text, problem: text }),
  InvalidPayload: new NatsError.InvalidPayload({ subject: text, given: text }),
  InvalidHeader: new NatsError.InvalidHeader({ header: text, problem: text }),
  HeadersNotSupported: new NatsError.HeadersNotSupported({ server: text }),
  ConnectionLost: new NatsError.ConnectionLost({ reason: refused }),
  ConnectionClosed: new NatsError.ConnectionClosed({ reason: refused }),
  SlowConsumer: new NatsError.SlowConsumer({ subject: text, messages: 1, bytes: 1 }),
  MessageDecodeError: new NatsError.MessageDecodeError({ subject: text, path: text, problem: text }),
  MessageEncodeError: new NatsError.MessageEncodeError({ subject: text, path: text, problem: text }),
  ServiceError: new NatsError.ServiceError({ subject: text, code: 0, codeText: text, description: text }),
  InvalidOption: new NatsError.InvalidOption({ option: "concurrency", given: text, problem: text }),
  PublishAllStopped: new NatsError.PublishAllStopped({
    published: 1,
    reason: new NatsError.InvalidSubject({ what: "subject", subject: text, problem: text })
  }),
  BackgroundEnded: new NatsError.BackgroundEnded({
    part: { kind: "listener", name: text },
    reason: new NatsError.SlowConsumer({ subject: text, messages: 1, bytes: 1 })
  })
})

/** Fields made by hand or decoded: each text in each place. */
const fieldsOf = (text: string) => ({
  server: text,
  source: text,
  problem: text,
  code: text,
  banner: text,
  text,
  variables: text,
  hosts: [text, text],
  method: "Token",
  stage: "lookup",
  timeoutMillis: 1,
  status: 404,
  notYetValid: false,
  at: 0,
  attempts: [{ server: text, error: new ConnectError.ServerRejected({ server: text, text }) }]
} as const)

type Maker = new(fields: ReturnType<typeof fieldsOf>) => ConnectError.ConnectError

const connectErrorsOf = (text: string): Readonly<Record<string, ConnectError.ConnectError>> => {
  const classes = ConnectError as unknown as Readonly<Record<string, Maker>>
  return Object.fromEntries(connectErrorTags.map((tag) => [tag, new classes[tag](fieldsOf(text))]))
}

const everyErrorOf = (text: string): Readonly<Record<string, Error>> => {
  const reasons = connectErrorsOf(text)
  return {
    ...errorsOf(text),
    ...reasons,
    ...Object.fromEntries(
      Object.entries(reasons).flatMap(([tag, reason]) => [
        [`ConnectionLost by ${tag}`, new NatsError.ConnectionLost({ reason })],
        [`ConnectionClosed by ${tag}`, new NatsError.ConnectionClosed({ reason })]
      ])
    ),
    "TlsCertificateInvalid for hosts": new ConnectError.TlsCertificateInvalid({
      server: text,
      code: "ERR_TLS_CERT_ALTNAME_INVALID",
      hosts: [text, text]
    }),
    InvalidService: new InvalidService({ service: text, what: "name", given: text, problem: text }),
    RpcServerLost: new RpcServerLost({ subject: text, reason: "gone" })
  }
}

describe("an error with a stranger's text", () => {
  it("is one of each class here", () => {
    assert.sameMembers(Object.keys(errorsOf("")), [...natsErrorTags])
  })

  for (const [tag, error] of Object.entries(everyErrorOf(hostile))) {
    it.effect(`is printable wherever it is seen: ${tag}`, () =>
      Effect.map(rendered(error), (text) => {
        assert.notMatch(text, unprintable)
        assert.notMatch(text, /^FORGED/m)
        assert.notInclude(error.message, "\n")
      }))
  }

  for (const filler of ["k", "\u001b", "\"", "日"]) {
    it(`has a message of two kilobytes at most, and a bounded JSON, of ${JSON.stringify(filler)}`, () => {
      for (const [tag, error] of Object.entries(everyErrorOf(filler.repeat(900_000)))) {
        assert.isAtMost(error.message.length, 2500, tag)
        assert.isAtMost(JSON.stringify(error).length, 24 * 1024, tag)
      }
    })
  }

  it("says what to do with a payload that is none", () => {
    for (
      const [given, hint] of [
        ["a Uint16Array", "make a Uint8Array of its bytes"],
        ["a DataView", "make a Uint8Array of its bytes"],
        ["a Uint8Array whose buffer was transferred", "give one that has its bytes"],
        ["an array", "JSON.stringify the value"]
      ]
    ) assert.include(new NatsError.InvalidPayload({ subject: "a", given }).message, `text or bytes: ${hint}`)
  })

  it("has quotes of its own around it", () => {
    assert.include(new NatsError.NoResponders({ subject: "a\"b" }).message, " \"a\\\"b\":")
  })

  it("has the path of a file in its message", () => {
    const part = { kind: "recorder", name: "a.ndjson" } as const
    const reason = badArgument({
      module: "FileSystem",
      method: "open",
      description: `${hostile}${"k".repeat(900_000)}`
    })
    const { message } = new NatsError.BackgroundEnded({ part, reason })
    assert.notMatch(message, unprintable)
    assert.isAtMost(message.length, 2500)
  })

  it("has a message for a moment that no date can have", () => {
    const fields = { method: "Jwt", source: "auth.jwt", notYetValid: false } as const
    for (const at of [1e20, Number.NaN, -1e300]) {
      assert.match(new ConnectError.CredentialsExpired({ ...fields, at }).message, /expired at \S+ ms since the epoch/)
    }
  })

  it("keeps it as a field, for code", () => {
    const error = new NatsError.NoResponders({ subject: hostile })
    assert.strictEqual(error.subject, hostile)
    const codec = Schema.toCodecJson(NatsError.NoResponders)
    assert.deepInclude(Schema.encodeSync(codec)(error), { subject: hostile })
  })
})

describe("what ended a part of the program", () => {
  it("is told to health, whatever it is", () => {
    const part: Part = { kind: "rpcServer", name: "orders", trouble: undefined }
    for (
      const [error, reason] of [
        [new Error(hostile), /^.*: x\\u001b/],
        ["gone", /: gone$/],
        [Object.create(null), /: a value of type object$/],
        [Object.assign(new Error("no"), { message: Object.create(null) }), /: a value of type object$/]
      ] as const
    ) {
      noteEnd(part, Cause.die(error))
      assert.match(part.trouble ?? "", reason)
      assert.notMatch(part.trouble ?? "", unprintable)
    }
  })
})

describe("what a codec threw", () => {
  it("is told by a name, and by no text that stands in place of one", () => {
    const named = (name: string): Error => Object.assign(new Error("4711"), { name })
    assert.strictEqual(describeThrown(named("VaultError")).problem, "its codec threw VaultError")
    for (const name of ["customer 4711", "", "x".repeat(65)]) {
      assert.strictEqual(describeThrown(named(name)).problem, "its codec threw something")
    }
  })
})

describe("what is wrong with a value", () => {
  // Decoders of a user's own, within a transformation, are run with options of theirs.
  const options = { onExcessProperty: "error", reportInput: true } as const
  const problemOf = (schema: Schema.Decoder<unknown>, value: unknown) => {
    const exit = Effect.runSyncExit(Schema.decodeUnknownEffect(schema)(value, options))
    assert(exit._tag === "Failure")
    const [reason] = exit.cause.reasons
    assert(reason._tag === "Fail")
    return describeIssue(reason.error.issue)
  }
  const key = `customer-4711 ${hostile}`
  const Price = Schema.Struct({ amount: Schema.Finite })
  interface Node {
    readonly children: { readonly [name: string]: Node }
    readonly size?: number
  }
  const Node: Schema.Codec<Node> = Schema.Struct({
    children: Schema.Record(Schema.String, Schema.suspend((): Schema.Codec<Node> => Node)),
    size: Schema.optionalKey(Schema.Finite)
  })

  const rows: ReadonlyArray<readonly [string, Schema.Decoder<unknown>, unknown, path: string, problem: RegExp]> = [
    ["the value of a record", Schema.Record(Schema.String, Schema.Finite), { [key]: "x" }, "<key>", /^Expected/],
    [
      "a field in a record",
      Schema.Struct({ prices: Schema.Record(Schema.String, Price) }),
      { prices: { [key]: { amount: "x" } } },
      "prices.<key>.amount",
      /^Expected/
    ],
    [
      "a key of a record",
      Schema.Record(Schema.String, Schema.Finite).check(
        Schema.isPropertyNames(Schema.String.check(Schema.isMaxLength(2)))
      ),
      { [key]: 1 },
      "<key>",
      /^Expected a value with a length of at most 2$/
    ],
    ["a key too many", Price, { amount: 1, [key]: key }, "<key>", /^Expected no excess property$/],
    ["a value", Schema.Struct({ a: Schema.Finite }), { a: key }, "a", /^Expected number$/],
    ["a literal", Schema.Struct({ a: Schema.Literals(["b", "c"]) }), { a: key }, "a", /^Expected "b" \| "c"$/],
    [
      "a filter",
      Schema.Struct({ a: Schema.String.check(Schema.isMaxLength(2)) }),
      { a: key },
      "a",
      /^Expected a value with a length of at most 2$/
    ],
    ["a transformation", Schema.Struct({ a: Schema.FiniteFromString }), { a: key }, "a", /^Expected/],
    [
      "a text of JSON",
      Schema.Struct({ a: Schema.fromJsonString(Price) }),
      { a: key },
      "a",
      /^Expected a valid JSON string$/
    ],
    ["a missing key", Schema.Struct({ a: Schema.Array(Price) }), { a: [{}] }, "a[0].amount", /^Missing key$/],
    [
      "a recursive schema",
      Node,
      { children: { [key]: { children: { [key]: { children: {}, size: "x" } } } } },
      "children.<key>.children.<key>.size",
      /^Expected/
    ],
    [
      "a union of records",
      Schema.Union([Schema.Record(Schema.String, Schema.Finite), Schema.Struct({ a: Schema.Finite })]),
      { [key]: "x" },
      "<key>",
      /^Expected/
    ],
    [
      "a filter with a path",
      Schema.Struct({ a: Schema.Finite, b: Schema.Finite }).check(
        Schema.makeFilter(({ a, b }) => a < b ? undefined : { path: ["b"], issue: "is over a" })
      ),
      { a: 2, b: 1 },
      "b",
      /^is over a$/
    ],
    [
      "a filter with a sender's key in its path, whose words have no bound",
      Schema.Record(Schema.String, Schema.Finite).check(
        Schema.makeFilter((record) => ({ path: [Object.keys(record)[0]], issue: hostile.repeat(1000) }))
      ),
      { [key]: 1 },
      "<key>",
      /^x\\u001b.{500,530}…$/
    ]
  ]
  for (const [name, schema, value, path, problem] of rows) {
    it(`names keys of the schema, and nothing of the sender: ${name}`, () => {
      const found = problemOf(schema, value)
      assert.strictEqual(found.path, path)
      assert.match(found.problem, problem)
      assert.notMatch(found.problem, unprintable)
      assert.notInclude(found.problem, "4711")
    })
  }

  it("is at a printable path, of a config too", () => {
    assert.strictEqual(formatPath(["a", 1, "b\u001b\n"]), "a[1].b\\u001b\\n")
    assert.strictEqual(formatPath(["ab", "cd"], 4), "ab.c…")
    assert.isAtMost(formatPath(["k".repeat(100_000)]).length, 1100)
  })
})
