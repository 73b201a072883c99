/** Definitions without a server: what is decoded how, and what a stream does with its arrays. */
import { assert, describe, it } from "@effect/vitest"
import { type NatsMessage, Subject, SubjectSchema } from "effect-nats"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Message } from "../src/internal/delivery/message.ts"
import { ofSubject, ofTemplate } from "../src/internal/subjectSchema/address.ts"
import { decodedStream } from "../src/internal/subjectSchema/decodedStream.ts"
import { withContentType } from "../src/internal/subjectSchema/messages.ts"

/** A message as it comes from the wire. */
const message = (
  payload: string | Uint8Array,
  headers: Record<string, string> = {},
  subject = "s"
): NatsMessage.NatsMessage => {
  const names = Object.keys(headers)
  const block = names.length === 0
    ? ""
    : `NATS/1.0\r\n${names.map((name) => `${name}: ${headers[name]}\r\n`).join("")}\r\n`
  const chunk = Buffer.concat([Buffer.from(subject), Buffer.from(block), Buffer.from(payload)])
  const headerStart = Buffer.byteLength(subject)
  const payloadStart = headerStart + Buffer.byteLength(block)
  const responder = { publish: () => Effect.void, tracing: undefined }
  return new Message(responder, chunk, 0, headerStart, 0, 0, headerStart, payloadStart, chunk.length)
}

const Order = Schema.Struct({ id: Schema.String, total: Schema.Finite })

describe("decoding", () => {
  const Orders = SubjectSchema.make("orders", Order, { maxBytes: 40 })
  const good = "{\"id\":\"a\",\"total\":1}"

  it("of what needs no waiting is done at once", () => {
    const decoded = Orders.decode(message(good))
    assert.isTrue(Exit.isExit(decoded) && Exit.isSuccess(decoded))
  })

  const contentTypes: ReadonlyArray<readonly [keyof typeof codecs, string, boolean]> = [
    ["json", "application/json", true],
    ["json", "Application/JSON ; charset=utf-8", true],
    ["json", "application/cloudevents+json", true],
    ["json", "text/plain", false],
    ["string", "text/html", true],
    ["string", "application/json", false],
    ["raw", "image/png", true],
    ["binary", "application/json", false]
  ]
  const codecs = {
    json: SubjectSchema.make("c", Schema.Unknown),
    binary: SubjectSchema.make("c", Schema.Unknown, { codec: SubjectSchema.binary }),
    string: SubjectSchema.make("c", Schema.String, { codec: SubjectSchema.string }),
    raw: SubjectSchema.make("c", Schema.Uint8Array, { codec: SubjectSchema.raw })
  }
  for (const [codec, contentType, accepted] of contentTypes) {
    it.effect(`as ${codec} ${accepted ? "takes" : "refuses"} ${contentType}`, () =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(codecs[codec].decode(message("1", { "content-type": contentType })))
        assert.strictEqual(Exit.isSuccess(exit), accepted)
      }))
  }

  it.effect("sees the Content-Type wherever it stands among the headers", () =>
    Effect.gen(function*() {
      const json = { "Content-Type": "application/json" }
      const text = { "Content-Type": "text/plain" }
      for (
        const headers of [json, { a: "b", ...json }, { ...json, a: "b" }, { a: "b" }, {
          "X-Content-Type": "text/plain"
        }]
      ) {
        assert.strictEqual(yield* codecs.json.decode(message("1", headers)), 1)
      }
      for (
        const headers of [
          text,
          { a: "b", ...text },
          { ...text, a: "b" },
          { ...text, "X-Content-Type": "application/json" },
          { ...text, a: "Content-Type: application/json" }
        ]
      ) {
        const error = yield* Effect.flip(codecs.json.decode(message("1", headers)))
        assert.strictEqual(error.problem, "its Content-Type is not application/json")
      }
    }))

  it.effect("a payload over the limit is refused though it would fit, and one at the limit is read", () =>
    Effect.gen(function*() {
      const exact = good.padEnd(40)
      assert.deepStrictEqual(yield* Orders.decode(message(exact)), { id: "a", total: 1 })
      const error = yield* Effect.flip(Orders.decode(message(`${exact} `)))
      assert.strictEqual(
        error.message,
        "A message on \"s\" does not fit its schema: it has 41 bytes, more than the 40 that are read."
      )
    }))

  it.effect("bytes that no binary schema wrote are a MessageDecodeError without them", () =>
    Effect.gen(function*() {
      const Binary = SubjectSchema.make("b", Order, { codec: SubjectSchema.binary })
      const error = yield* Effect.flip(Binary.decode(message("canary canary canary")))
      assert.strictEqual(error._tag, "MessageDecodeError")
      assert.notInclude(`${error} ${JSON.stringify(error)}`, "canary")
    }))
})

describe("encoding", () => {
  it.effect("gives the message that publish would send: subject, payload and headers", () =>
    Effect.gen(function*() {
      const Placed = SubjectSchema.make(Subject.template("orders.{id}.placed"), Order)
      const order = { id: "a", total: 1 }
      const outgoing = yield* Placed.encode({ id: "a b" }, order, { trace: "1" })
      assert.strictEqual(outgoing.subject, yield* Placed.template.build({ id: "a b" }))
      assert.deepStrictEqual(JSON.parse(String(outgoing.payload)), order)
      assert.deepStrictEqual(outgoing.headers, { trace: "1", "Content-Type": "application/json" })
      const own = yield* SubjectSchema.make("orders", Order).encode(order, { "content-type": "application/x+json" })
      assert.deepStrictEqual(own.headers, { "content-type": "application/x+json" })
    }))

  it.effect("of a value that does not fit is a MessageEncodeError", () =>
    Effect.gen(function*() {
      const Short = SubjectSchema.make("orders", Schema.String.check(Schema.isMaxLength(2)))
      const error = yield* Effect.flip(Short.encode("abc"))
      assert.strictEqual(error._tag, "MessageEncodeError")
      assert.strictEqual(error.subject, "orders")
    }))
})

describe("a stream of decoded messages", () => {
  const Numbers = SubjectSchema.make("n", Schema.Finite)
  const messages = (...payloads: ReadonlyArray<string>) => payloads.map((payload) => message(payload))
  const arrays = <E>(stream: Stream.Stream<number, E>) =>
    Stream.runCollect(Stream.mapArray(stream, (values) => [[...values]] as const))

  it.effect("keeps arrays as they come", () =>
    Effect.gen(function*() {
      const source = Stream.fromArrays(messages("1", "2", "3"), messages("4"))
      const decoded = decodedStream(source, Numbers.decode, Effect.fail)
      assert.deepStrictEqual(yield* arrays(decoded), [[1, 2, 3], [4]])
    }))

  it.effect("gives what came before a bad message, and after it, in order and once", () =>
    Effect.gen(function*() {
      const bad: Array<string> = []
      const source = Stream.fromArrays(messages("1", "x", "y", "2", "3"), messages("z"), messages("4"))
      const decoded = decodedStream(source, Numbers.decode, (_, { text }) => Effect.sync(() => bad.push(text)))
      assert.deepStrictEqual(yield* arrays(decoded), [[1], [2, 3], [4]])
      assert.deepStrictEqual(bad, ["x", "y", "z"])
    }))

  it.effect("survives a hundred thousand bad messages in a row", () =>
    Effect.gen(function*() {
      const source = Stream.fromArrays(messages(...Array.from({ length: 100_000 }, () => "x")), messages("1"))
      assert.deepStrictEqual(yield* arrays(decodedStream(source, Numbers.decode, () => Effect.void)), [[1]])
    }))

  it.effect("starts anew when it is run again", () =>
    Effect.gen(function*() {
      const decoded = decodedStream(Stream.fromArrays(messages("1", "2")), Numbers.decode, Effect.fail)
      assert.deepStrictEqual(yield* Stream.runCollect(Stream.take(decoded, 1)), [1])
      assert.deepStrictEqual(yield* Stream.runCollect(decoded), [1, 2])
    }))
})

describe("an address", () => {
  it.effect("of a subject gives itself, of a template what it is built with", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ofSubject("a.b").pattern({}), "a.b")
      const address = ofTemplate(Subject.template("a.{id}"))
      assert.strictEqual(yield* address.pattern({}), "a.*")
      assert.strictEqual(yield* address.subject({ id: "x" }), "a.x")
    }))
})

describe("headers", () => {
  it("keep what the caller gave", () => {
    const given = { "CONTENT-TYPE": "x/y", a: ["b"] }
    assert.strictEqual(withContentType("application/json", given), given)
    assert.deepStrictEqual(withContentType("x/y", { a: "b" }), { a: "b", "Content-Type": "x/y" })
  })
})
