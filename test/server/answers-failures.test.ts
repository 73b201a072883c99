/** What a failure is on the wire, by its schema, and what is read of the failures of others. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Logger, Schema, Scope, Stream } from "effect"
import { NatsClient, NatsError, NatsListener, SubjectSchema } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

class Both extends Schema.TaggedError<Both>()("Both", {}, { natsServiceErrorCode: 404, httpApiStatus: 410 }) {}
class Plain extends Schema.TaggedError<Plain>()("Plain", { id: Schema.String }) {}

const request = <E extends Schema.Constraint>(error: E) =>
  SubjectSchema.makeRequest("asked", { payload: Schema.String, success: Schema.String, error })

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

interface Wire {
  readonly code: string
  readonly description: string
  readonly body: string
}

const failing = <E extends Schema.Constraint>(error: E, failure: E["Type"]) =>
  request(error).respond(() => Effect.fail(failure))

const table = [
  ["a class with both annotations", failing(Both, new Both()), {
    code: "404",
    description: "Both",
    body: `{"_tag":"Both"}`
  }],
  [
    "a member of a union that has the code",
    failing(Schema.Union([Plain, Schema.String]).annotate({ natsServiceErrorCode: 409 }), new Plain({ id: "7" })),
    { code: "409", description: "Plain", body: `{"_tag":"Plain","id":"7"}` }
  ],
  ["a text", failing(Schema.String, "no\nmore"), { code: "422", description: "no more", body: `"no\\nmore"` }],
  ["one without words", failing(Schema.Finite, 7), { code: "422", description: "the request failed", body: "7" }],
  [
    "a ServiceError",
    failing(
      NatsError.ServiceError,
      new NatsError.ServiceError({ subject: "elsewhere", code: 409, description: "taken" })
    ),
    {
      code: "409",
      description: "taken",
      body: `{"_tag":"ServiceError","subject":"elsewhere","code":409,"description":"taken"}`
    }
  ],
  [
    "a void one, which has no body",
    failing(Schema.Void, undefined),
    { code: "422", description: "the request failed", body: "" }
  ]
] as const

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("a failure", (it) => {
  for (const [what, responder, wire] of table) {
    it.effect(`is answered by its schema: ${what}`, () =>
      Effect.gen(function*() {
        const nats = yield* connect
        yield* Effect.provideService(responder, NatsClient.NatsClient, nats)
        const reply = yield* nats.request("asked", `"x"`)
        const seen: Wire = {
          code: reply.header("Nats-Service-Error-Code")!,
          description: reply.header("Nats-Service-Error")!,
          body: reply.text
        }
        assert.deepStrictEqual(seen, wire)
        assert.strictEqual(reply.header("Content-Type"), wire.body === "" ? undefined : "application/json")
      }))
  }

  it.effect("of a service is none of the contract, though its schema takes anything, where there is no body", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const Asked = request(Schema.Void)
      yield* Effect.gen(function*() {
        yield* Asked.respond(() => Effect.die("no"))
        const error = yield* Effect.flip(Asked.request("x"))
        assert.instanceOf(error, NatsError.ServiceError)
        assert.strictEqual(error.code, 500)
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  const codes: ReadonlyArray<readonly [text: string, code: number, codeText: string | undefined]> = [
    ["999999999", 999_999_999, undefined],
    ["1234567890", 0, "1234567890"],
    ["-1", 0, "-1"],
    ["c".repeat(100), 0, "c".repeat(64)]
  ]
  for (const [text, code, codeText] of codes) {
    it.effect(`of another language has a code that is a number, or its text: ${text.slice(0, 12)}`, () =>
      Effect.gen(function*() {
        const nats = yield* connect
        yield* Effect.gen(function*() {
          // The cut is within a character.
          const description = `${"!".repeat(1_023)}😀`
          yield* NatsListener.make("asked", (message) =>
            message.respond("", {
              headers: { "Nats-Service-Error": description, "Nats-Service-Error-Code": text }
            }))
          const error = yield* Effect.flip(request(Plain).request("x"))
          assert.instanceOf(error, NatsError.ServiceError)
          assert.deepStrictEqual([error.code, error.codeText], [code, codeText])
          assert.strictEqual(error.description, `${"!".repeat(1_023)}\ufffd`)
        }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
      }))
  }

  it.effect("has at most 16 KiB of headers, names and values, and those after them are left out", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.gen(function*() {
        yield* NatsListener.make("asked", (message) =>
          message.respond("", {
            headers: {
              "Nats-Service-Error-Code": "1",
              "First": "1",
              [`N${"n".repeat(16 * 1024)}`]: "",
              "Last": "2"
            }
          }))
        const error = yield* Effect.flip(request(Plain).request("x"))
        assert.instanceOf(error, NatsError.ServiceError)
        assert.deepStrictEqual(Object.keys(error.headers), ["Nats-Service-Error-Code", "First"])
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("of a result that does not fit is a fault, whatever the failures are", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const Asked = SubjectSchema.makeRequest("asked", {
        payload: Schema.String,
        success: Schema.Int,
        error: Schema.Any
      })
      yield* Effect.gen(function*() {
        yield* Asked.respond(() => Effect.succeed(1.5))
        const reply = yield* nats.request("asked", `"x"`)
        assert.strictEqual(reply.header("Nats-Service-Error"), "internal error")
        assert.strictEqual(reply.text, "")
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("is no matter of the content type: that of the answer stands, whatever the handler sets", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const Asked = request(Plain)
      for (const name of ["Content-Type", "content-type"]) {
        yield* Effect.gen(function*() {
          yield* Asked.respond((text, { setReplyHeader }) =>
            Effect.suspend(() => {
              setReplyHeader(name, "text/plain")
              return text === "fail" ? Effect.fail(new Plain({ id: "7" })) : Effect.succeed(text)
            })
          )
          for (const text of ["fine", "fail"]) {
            const reply = yield* nats.request("asked", JSON.stringify(text))
            const types = Object.entries(reply.headers).filter(([name]) => name.toLowerCase() === "content-type")
            assert.deepStrictEqual(types.map(([, values]) => values), [["application/json"]], `${name} ${text}`)
          }
          assert.strictEqual(yield* Asked.request("fine"), "fine")
        }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
      }
    }))

  it.effect("to read a message that asks for no answer is told, and one that does is told to its sender", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const lines: Array<string> = []
      const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => lines.push(line))])
      const handled = yield* Deferred.make<void>()
      const Asked = SubjectSchema.makeRequest("asked", { payload: Schema.String, success: Schema.Int })
      yield* Effect.gen(function*() {
        const { stop } = yield* Asked.respond(() => Effect.as(Deferred.succeed(handled, undefined), 1.5))
        assert.strictEqual((yield* nats.request("asked", "7")).header("Nats-Service-Error-Code"), "400")
        assert.deepStrictEqual(lines, [])
        yield* nats.publish("asked", "7")
        // Nobody gets its result: it need not fit.
        yield* nats.publish("asked", `"x"`)
        yield* Deferred.await(handled)
        yield* stop
        assert.strictEqual(lines.length, 1)
        assert.include(lines[0], "WARN")
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provide(logger))
    }))

  it.effect("whose body is over `maxBytes` is not read", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const contract = { payload: Schema.String, success: Schema.String, error: Plain }
      const Small = SubjectSchema.makeRequest("asked", contract, { maxBytes: 100 })
      const bodyOf = (size: number): string => JSON.stringify(new Plain({ id: "x".repeat(size - 24) }))
      yield* Effect.gen(function*() {
        yield* NatsListener.make("asked", (message) =>
          message.respond(bodyOf(Number(JSON.parse(message.text))), {
            headers: { "Nats-Service-Error": "no", "Nats-Service-Error-Code": "422" }
          }))
        assert.strictEqual(bodyOf(100).length, 100)
        assert.instanceOf(yield* Effect.flip(Small.request("100")), Plain)
        assert.instanceOf(yield* Effect.flip(Small.request("101")), NatsError.ServiceError)
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("to answer in the time that a request is given is RequestTimedOut", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const Asked = request(Plain)
      yield* Effect.gen(function*() {
        yield* Asked.respond(() => Effect.never, { drainTimeout: "10 millis" })
        const error = yield* Effect.flip(Asked.request("x", { timeout: "20 millis" }))
        assert.deepInclude(error, { _tag: "RequestTimedOut", timeoutMillis: 20 })
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.scoped)
    }))

  it.effect("is no answer to an event: what a stop leaves of those is not answered", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      const never = () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      const served = yield* NatsListener.make("plain", never, { drainTimeout: "10 millis" }).pipe(
        Effect.provideService(NatsClient.NatsClient, nats)
      )
      yield* Layer.build(SubjectSchema.make("told", Schema.String).layer(never, { drainTimeout: "10 millis" })).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope)
      )
      const inbox = yield* nats.inbox
      const replies = yield* nats.subscription(inbox)
      for (const subject of ["plain", "told", "plain", "told"]) yield* nats.publish(subject, `"x"`, { reply: inbox })
      yield* Deferred.await(begun)
      yield* nats.flush
      yield* served.stop
      yield* Scope.close(scope, Exit.void)
      yield* nats.flush
      yield* replies.drain
      assert.deepStrictEqual(yield* Stream.runCollect(replies.stream), [])
    }))

  it.effect("that `onReply` throws is a defect of its request alone", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const Asked = request(Plain)
      yield* Effect.gen(function*() {
        yield* Asked.respond((text) => text === "fail" ? Effect.fail(new Plain({ id: "7" })) : Effect.succeed(text))
        for (const text of ["fine", "fail"]) {
          const exit = yield* Effect.exit(Asked.request(text, {
            onReply: () => {
              throw new Error("mine")
            }
          }))
          assert.match(String(exit), /Die.*mine/s)
        }
        assert.strictEqual(yield* Asked.request("fine"), "fine")
        // Failures are seen, too.
        let seen = 0
        yield* Effect.flip(Asked.request("fail", { onReply: () => seen++ }))
        assert.strictEqual(seen, 1)
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))
})
