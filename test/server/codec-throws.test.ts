/** Payloads that make a decoder throw: no stream ends for them, and no request stays without its answer. */
import { assert, layer } from "@effect/vitest"
import { Cause, Effect, Exit, Layer, Schema, SchemaGetter, Stream } from "effect"
import { NatsClient, NatsListener, SubjectSchema } from "effect-nats"
import { NatsRpc, NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClient, RpcGroup, RpcSerialization, RpcServer } from "effect/rpc"

const client = Layer.effect(
  NatsClient.NatsClient,
  Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    return yield* NatsClient.make({ servers: server.url, requestTimeout: "5 seconds" })
  })
)

const Live = Layer.provideMerge(client, TestNatsServer.layer({}))

interface Comment {
  readonly text: string
  readonly replies: ReadonlyArray<Comment>
}

const Comment = Schema.Struct({
  text: Schema.String,
  replies: Schema.Array(Schema.suspend((): Schema.Codec<Comment> => Comment))
})

interface Tree {
  readonly of: Readonly<Record<string, Tree>>
}

/** A number that JSON has as text: the guard for JSON does not know it. */
const Count = Schema.Struct({
  count: Schema.FiniteFromString,
  more: Schema.optionalKey(Schema.suspend((): Schema.Codec<unknown, unknown> => Count))
})
const Tree = Schema.Struct({ of: Schema.Record(Schema.String, Schema.suspend((): Schema.Codec<Tree> => Tree)) })
const Nest = Schema.Union([Schema.String, Schema.Array(Schema.suspend((): Schema.Codec<unknown, unknown> => Nest))])

/** Reads any text but "boom", which its decoder does not survive. */
const Fragile = Schema.String.pipe(Schema.decodeTo(Schema.String, {
  decode: SchemaGetter.transform((text) => {
    if (text === "boom") throw new TypeError("it was boom")
    return text
  }),
  encode: SchemaGetter.transform((text) => text)
}))

// Some thousands are enough, the fewer the less of the code has been optimized.
const levels = 20_000
const around = (open: string, close: string, middle = ""): string => open.repeat(levels) + middle + close.repeat(levels)

const comments = around("{\"text\":\"x\",\"replies\":[", "]}")

/** A schema, what it reads, and what makes its decoder throw. */
const codecs: ReadonlyArray<
  readonly [name: string, schema: Schema.Codec<unknown, unknown>, good: string, bad: string, problem: string]
> = [
  ["a recursive struct", Comment, "{\"text\":\"a\",\"replies\":[]}", comments, "it is nested too deeply"],
  [
    "a recursive struct that is transformed",
    Count,
    "{\"count\":\"1\"}",
    around("{\"count\":\"1\",\"more\":", "}", "{\"count\":\"1\"}"),
    "it is nested too deeply"
  ],
  [
    "a recursive record",
    Tree,
    "{\"of\":{}}",
    around("{\"of\":{\"a\":", "}}", "{\"of\":{}}"),
    "it is nested too deeply"
  ],
  ["a recursive union", Nest, "[\"a\"]", around("[", "]"), "it is nested too deeply"],
  ["a transformation that throws", Fragile, "\"a\"", "\"boom\"", "its codec threw TypeError"]
]

/** The text of what an exit died of. */
const defectOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isFailure(exit) && Cause.hasDies(exit.cause) ? String(Cause.squash(exit.cause)) : `no defect: ${String(exit)}`

layer(Live, { excludeTestServices: true })("a payload that makes a decoder throw", (it) => {
  for (const [index, [name, schema, good, bad, problem]] of codecs.entries()) {
    it.effect(`(${name}) is a MessageDecodeError of a typed stream, by its policy`, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const subject = `stream.${index}`
        const definition = SubjectSchema.make(subject, schema)
        const seen: Array<string> = []
        const skipping = yield* definition.subscription({
          onInvalid: (error) => Effect.sync(() => seen.push(error.message))
        })
        const failing = yield* definition.subscription()
        for (const payload of [good, bad, good]) yield* nats.publish(subject, payload)
        yield* nats.flush
        yield* skipping.unsubscribe
        assert.strictEqual((yield* Stream.runCollect(skipping.stream)).length, 2)
        assert.deepStrictEqual(seen, [`A message on "${subject}" does not fit its schema: ${problem}.`])
        const error = yield* Effect.flip(Stream.runDrain(failing.stream))
        assert(error._tag === "MessageDecodeError", error._tag)
        assert.deepInclude(error, { subject, path: "", problem })
      }))

    it.effect(`(${name}) is answered with 400 by typed responders, listeners and services`, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const post = SubjectSchema.makeRequest(`respond.${index}`, { payload: schema, success: Schema.String })
        yield* post.respond(() => Effect.succeed("done"))
        yield* NatsListener.make(
          `listen.${index}`,
          NatsListener.replying((message) => Effect.as(message.decode(schema), "done"))
        )
        const Group = RpcGroup.make(Rpc.make("post", { payload: schema, success: Schema.String }))
        yield* NatsService.make(Group, { name: `serve${index}`, version: "1.0.0" }).pipe(
          Effect.provide(Group.toLayer({ post: () => Effect.succeed("done") }))
        )
        for (const subject of [`respond.${index}`, `listen.${index}`, `serve${index}.post`]) {
          const answer = yield* nats.request(subject, bad)
          assert.strictEqual(answer.header("Nats-Service-Error-Code"), "400", subject)
          assert.include(answer.header("Nats-Service-Error"), problem)
          assert.include((yield* nats.request(subject, good)).text, "done")
        }
      }))

    it.effect(`(${name}) fails the caller of a typed request or a service with MessageDecodeError`, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const subject = `answers${index}.get`
        const answering = yield* nats.subscription(subject)
        yield* Effect.forkScoped(Stream.runForEach(answering.stream, (message) => message.respond(bad)))
        const asked = SubjectSchema.makeRequest(subject, { payload: Schema.Void, success: schema })
        const typed = yield* Effect.flip(asked.request(undefined))
        assert(typed._tag === "MessageDecodeError", typed._tag)
        assert.strictEqual(typed.problem, problem)
        const Group = RpcGroup.make(Rpc.make("get", { success: schema }))
        const service = yield* NatsService.client(Group, { name: `answers${index}` })
        const called = yield* Effect.flip(service.get(undefined))
        assert(called._tag === "MessageDecodeError", called._tag)
        assert.strictEqual(called.problem, problem)
      }))

    it.effect(`(${name}) ends its own rpc call with a defect, whichever side cannot read it`, () =>
      Effect.gen(function*() {
        const nats = yield* NatsClient.NatsClient
        const Group = RpcGroup.make(
          Rpc.make("post", { payload: { it: schema }, success: Schema.String }),
          Rpc.make("get", { success: schema }),
          Rpc.make("list", { success: schema, stream: true }),
          Rpc.make("ping", { success: Schema.String })
        )

        // A payload, from whoever can publish.
        yield* Layer.build(
          RpcServer.layer(Group).pipe(
            Layer.provide(Group.toLayer({
              post: () => Effect.succeed("done"),
              get: () => Effect.die("unused"),
              list: () => Stream.empty,
              ping: () => Effect.succeed("unused")
            })),
            Layer.provide(NatsRpc.layerServerProtocol({ subject: `rpc${index}` })),
            Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
          )
        )
        const post = (payload: string) =>
          Effect.map(
            nats.request(
              `rpc${index}`,
              `{"_tag":"Request","id":"1","tag":"post","payload":{"it":${payload}},"headers":[]}`
            ),
            ({ text }) => text
          )
        assert.include(yield* post(bad), problem)
        assert.include(yield* post(good), "done")

        // An answer and a chunk, from a server that does not look at what it sends.
        const calls = yield* nats.subscription(`answering${index}`)
        const answers: Readonly<Record<string, string>> = {
          get: `"_tag":"Exit","exit":{"_tag":"Success","value":${bad}}`,
          list: `"_tag":"Chunk","values":[${good},${bad}]`,
          ping: "\"_tag\":\"Exit\",\"exit\":{\"_tag\":\"Success\",\"value\":\"pong\"}"
        }
        yield* Effect.forkScoped(Stream.runForEach(calls.stream, (message) => {
          const { id, tag } = JSON.parse(message.text) as { readonly id: string; readonly tag: string }
          const frame = `{"requestId":${JSON.stringify(id)},${answers[tag]}}`
          return nats.publish(message.reply!, frame, { reply: `answering${index}.server.1` })
        }))
        const protocol = yield* Effect.provide(
          NatsRpc.makeClientProtocol({ subject: `answering${index}` }),
          RpcSerialization.layerJson
        )
        const calling = yield* Effect.provideService(RpcClient.make(Group), RpcClient.Protocol, protocol)
        assert.include(defectOf(yield* Effect.exit(calling.get())), problem)
        assert.include(defectOf(yield* Effect.exit(Stream.runDrain(calling.list()))), problem)
        assert.strictEqual(yield* calling.ping(), "pong")
      }))
  }

  it.effect("and a value that makes an encoder throw fails a publish, and is answered with 500", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const value: Comment = JSON.parse(comments)
      const definition = SubjectSchema.make("encode", Comment)
      const error = yield* Effect.flip(definition.publish(value))
      assert(error._tag === "MessageEncodeError", error._tag)
      assert.strictEqual(error.problem, "it is nested too deeply")
      const get = SubjectSchema.makeRequest("encode.respond", { payload: Schema.Void, success: Comment })
      yield* get.respond(() => Effect.succeed(value))
      const Group = RpcGroup.make(Rpc.make("get", { success: Comment }))
      yield* NatsService.make(Group, { name: "encode", version: "1.0.0" }).pipe(
        Effect.provide(Group.toLayer({ get: () => Effect.succeed(value) }))
      )
      for (const subject of ["encode.respond", "encode.get"]) {
        const answer = yield* nats.request(subject)
        assert.strictEqual(answer.header("Nats-Service-Error-Code"), "500", subject)
      }
    }))

  it.effect("and what is wrong too deep within a payload to be told is answered, too", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      // Deep enough for the words, not for the decoder.
      const wrong = "{\"text\":\"x\",\"replies\":[".repeat(1_000) + "5" + "]}".repeat(1_000)
      const Group = RpcGroup.make(
        Rpc.make("post", { payload: { it: Comment }, success: Schema.String }),
        Rpc.make("get", { success: Comment })
      )
      const handlers = Group.toLayer({ post: () => Effect.succeed("done"), get: () => Effect.die("unused") })
      yield* Effect.provide(NatsService.make(Group, { name: "wrong", version: "1.0.0" }), handlers)
      const answer = yield* nats.request("wrong.post", `{"it":${wrong}}`)
      assert.strictEqual(answer.header("Nats-Service-Error-Code"), "400")
      yield* Layer.build(
        RpcServer.layer(Group).pipe(
          Layer.provide(handlers),
          Layer.provide(NatsRpc.layerServerProtocol({ subject: "wrong.rpc" })),
          Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
        )
      )
      const frame = `{"_tag":"Request","id":"1","tag":"post","payload":{"it":${wrong}},"headers":[]}`
      assert.include((yield* nats.request("wrong.rpc", frame)).text, "it is nested too deeply")
      // An answer like that, from a server that does not look at what it sends.
      const calls = yield* nats.subscription("wrong.answer")
      yield* Effect.forkScoped(Stream.runForEach(calls.stream, (message) => {
        const { id } = JSON.parse(message.text) as { readonly id: string }
        const answer = `{"_tag":"Exit","requestId":${JSON.stringify(id)},"exit":{"_tag":"Success","value":${wrong}}}`
        return nats.publish(message.reply!, answer, { reply: "wrong.answer.server.1" })
      }))
      const protocol = yield* Effect.provide(
        NatsRpc.makeClientProtocol({ subject: "wrong.answer" }),
        RpcSerialization.layerJson
      )
      const calling = yield* Effect.provideService(RpcClient.make(Group), RpcClient.Protocol, protocol)
      assert.include(defectOf(yield* Effect.exit(calling.get())), "it is nested too deeply")
    }))

  it.effect("and so does a codec of the user's own, whatever it does", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const boom = (): never => {
        throw new RangeError("it was boom")
      }
      const odd: ReadonlyArray<readonly [string, Partial<SubjectSchema.Codec<unknown>>, string]> = [
        ["accepts", { accepts: boom }, "its codec threw RangeError"],
        ["decoder", { decoder: () => boom }, "its codec threw RangeError"],
        ["nothing", { decoder: () => () => undefined as never }, "its codec threw something"],
        ["failure", { decoder: () => () => Effect.fail(undefined as never) }, "its codec does not take it"],
        ["interrupt", { decoder: () => () => Exit.interrupt() }, "its codec threw"],
        ["late", {
          decoder: () => () => Effect.andThen(Effect.yieldNow, Effect.sync(boom))
        }, "its codec threw RangeError"]
      ]
      for (const [name, part, problem] of odd) {
        const codec: SubjectSchema.Codec<unknown> = { ...SubjectSchema.json, accepts: () => true, ...part }
        const definition = SubjectSchema.make(`odd.${name}`, Schema.String, { codec })
        const subscription = yield* definition.subscription()
        yield* nats.publish(`odd.${name}`, "\"x\"", { headers: { "Content-Type": "text/odd" } })
        const error = yield* Effect.flip(Stream.runDrain(subscription.stream))
        assert(error._tag === "MessageDecodeError", error._tag)
        assert.include(error.message, problem, name)
        const asked = SubjectSchema.makeRequest(`odd.${name}.ask`, { payload: Schema.String, success: Schema.String }, {
          codec
        })
        yield* asked.respond(() => Effect.succeed("done"))
        const answer = yield* nats.request(`odd.${name}.ask`, "\"x\"", { headers: { "Content-Type": "text/odd" } })
        assert.strictEqual(answer.header("Nats-Service-Error-Code"), "400", name)
      }
    }))

  it.effect("and a failure that throws when it is looked at is answered with 500", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      class Odd extends Schema.TaggedError<Odd>()("Odd", {}) {
        override get message(): string {
          throw new TypeError("no message")
        }
      }
      const ask = SubjectSchema.makeRequest("odd.failure", { payload: Schema.Void, success: Schema.Void, error: Odd })
      yield* ask.respond(() => Effect.fail(new Odd()))
      const answer = yield* nats.request("odd.failure")
      assert.strictEqual(answer.header("Nats-Service-Error-Code"), "500")
    }))

  it.effect("and a path is bounded, however deep or long it is", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const definition = SubjectSchema.make("path", Count)
      const subscription = yield* definition.subscription()
      yield* nats.publish("path", `${"{\"count\":\"1\",\"more\":".repeat(200)}5${"}".repeat(200)}`)
      const error = yield* Effect.flip(Stream.runDrain(subscription.stream))
      assert(error._tag === "MessageDecodeError", error._tag)
      assert.match(error.path, /^more(\.more)+(\.[more]*)?…$/)
      assert.lengthOf(error.path, 257)
    }))

  it.effect("and rpc answers what it cannot read or take, without a word of it", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const Group = RpcGroup.make(
        Rpc.make("get", { success: Schema.String }),
        Rpc.make("ping", { success: Schema.String })
      )
      const deepDefect = (): Error => {
        let error = new Error("innermost")
        for (let level = 0; level < levels; level++) error = new Error("outer", { cause: error })
        return error
      }
      yield* Layer.build(
        RpcServer.layer(Group).pipe(
          Layer.provide(Group.toLayer({ get: () => Effect.die(deepDefect()), ping: () => Effect.succeed("pong") })),
          Layer.provide(NatsRpc.layerServerProtocol({ subject: "odd.rpc" })),
          Layer.provide([RpcSerialization.layerJson, Layer.succeed(NatsClient.NatsClient, nats)])
        )
      )
      const canary = "hunter2secret"
      for (const frame of [canary, `{"_tag":"Request","id":"1","tag":"ping","payload":null,"headers":"${canary}"}`]) {
        const answer = yield* nats.request("odd.rpc", frame)
        assert.include(answer.text, "Defect")
        assert.notInclude(answer.text, canary)
      }
      // A handler that dies of what cannot be sent, and a defect from the other side that cannot be read.
      const clientOf = (subject: string) =>
        Effect.flatMap(
          Effect.provide(NatsRpc.makeClientProtocol({ subject }), RpcSerialization.layerJson),
          (protocol) => Effect.provideService(RpcClient.make(Group), RpcClient.Protocol, protocol)
        )
      assert.include(defectOf(yield* Effect.exit((yield* clientOf("odd.rpc")).get())), "cannot be sent")
      const calls = yield* nats.subscription("odd.server")
      const defect = "{\"message\":\"m\",\"cause\":".repeat(levels) + "{}" + "}".repeat(levels)
      yield* Effect.forkScoped(Stream.runForEach(calls.stream, (message) => {
        const { id } = JSON.parse(message.text) as { readonly id: string }
        return nats.publish(message.reply!, `{"_tag":"Defect","requestId":${JSON.stringify(id)},"defect":${defect}}`, {
          reply: "odd.server.server.1"
        })
      }))
      assert.strictEqual((yield* Effect.exit((yield* clientOf("odd.server")).get()))._tag, "Failure")
    }))
})
