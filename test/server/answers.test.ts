/** Services, typed responders and replying listeners answer the same thing in the same way: the table of docs/services.md. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { NatsClient, NatsError, NatsListener, type NatsMessage, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"

class NotFound extends Schema.TaggedError<NotFound>()(
  "NotFound",
  { id: Schema.String },
  { natsServiceErrorCode: 404 }
) {
  override get message(): string {
    return `there is no ${this.id}`
  }
}
class Gone extends Schema.TaggedError<Gone>()("Gone", { id: Schema.String }, { httpApiStatus: 410 }) {}
class Plain extends Schema.TaggedError<Plain>()("Plain", { id: Schema.String }) {}

const Failures = Schema.Union([NotFound, Gone, Plain, NatsError.ServiceError])
const contract = { payload: Schema.String, success: Schema.String, error: Failures }
const Typed = SubjectSchema.makeRequest("typed", contract)
const Group = RpcGroup.make(Rpc.make("ask", contract))

const long = "x".repeat(2_000)

/** What the handlers do with each payload. */
const handle = (what: string): Effect.Effect<string, typeof Failures.Type> => {
  switch (what) {
    case "annotated":
      return Effect.fail(new NotFound({ id: "7" }))
    case "http":
      return Effect.fail(new Gone({ id: "7" }))
    case "own code":
      return Effect.fail(new NatsError.ServiceError({ subject: "elsewhere", code: 409, description: "taken" }))
    case "long":
      return Effect.fail(new NotFound({ id: long }))
    case "dies":
      return Effect.die(new Error("secret 7531"))
    case "throws":
      throw new Error("secret 7531")
    case "interrupts":
      return Effect.interrupt
    case "too large":
      return Effect.succeed("y".repeat(2_000_000))
    default:
      return Effect.succeed(what)
  }
}

const connect = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

const serve = (drainTimeout: NatsListener.ServeOptions["drainTimeout"], slow: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function*() {
    const run = (what: string) =>
      Effect.andThen(what === "slow" ? slow : Effect.void, Effect.suspend(() => handle(what)))
    yield* Typed.respond(run, { drainTimeout })
    yield* NatsListener.make(
      "plain",
      NatsListener.replying((message) => run(JSON.parse(message.text) as string)),
      { drainTimeout }
    )
    yield* NatsService.make(Group, { name: "service", version: "1.0.0", drainTimeout, concurrency: 1 }).pipe(
      Effect.provide(Group.toLayer({ ask: run }))
    )
  })

const subjects = ["typed", "plain", "service.ask"]

const seen = (reply: NatsMessage.NatsMessage) => ({
  code: reply.header("Nats-Service-Error-Code"),
  description: reply.header("Nats-Service-Error"),
  body: reply.text
})

const internal = { code: "500", description: "internal error", body: "" }
const cutOff = { code: "503", description: "the request was interrupted before it was answered", body: "" }

const table: ReadonlyArray<readonly [what: string, answer: ReturnType<typeof seen>]> = [
  ["annotated", { code: "404", description: "there is no 7", body: `{"_tag":"NotFound","id":"7"}` }],
  ["http", { code: "410", description: "Gone", body: `{"_tag":"Gone","id":"7"}` }],
  ["long", {
    code: "404",
    description: `there is no ${long}`.slice(0, 1024),
    body: `{"_tag":"NotFound","id":"${long}"}`
  }],
  ["dies", internal],
  ["throws", internal],
  ["interrupts", cutOff],
  ["too large", { code: "500", description: "the answer of", body: "" }]
]

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("an answer", (it) => {
  for (const [what, expected] of table) {
    it.effect(`to a handler: ${what}`, () =>
      Effect.gen(function*() {
        const nats = yield* connect
        yield* Effect.provideService(serve("10 seconds"), NatsClient.NatsClient, nats)
        for (const subject of subjects) {
          const answer = seen(yield* nats.request(subject, JSON.stringify(what)))
          if (what === "too large") {
            assert.match(
              answer.description!,
              /^the answer of \d+ bytes is over the server's limit of 1048576$/,
              subject
            )
            assert.strictEqual(answer.code, "500", subject)
          } else {
            assert.deepStrictEqual(answer, expected, subject)
          }
        }
      }))
  }

  it.effect("to a failure over the server's limit leaves out its body, and headers of that size go, too", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const huge = "x".repeat(2_000_000)
      const run = (what: string, setReplyHeader: (name: string, value: string) => void) =>
        Effect.suspend(() => {
          if (what === "huge failure") return Effect.fail(new Gone({ id: huge }))
          setReplyHeader("Huge", huge)
          return handle(what)
        })
      yield* Effect.gen(function*() {
        yield* Typed.respond((what, request) => run(what, request.setReplyHeader))
        yield* NatsListener.make(
          "plain",
          NatsListener.replying((message) => run(JSON.parse(message.text) as string, () => {}))
        )
        yield* NatsService.make(Group, { name: "service", version: "1.0.0" }).pipe(Effect.provide(
          Group.toLayer({
            ask: (what, { client }) =>
              Effect.flatMap(
                Effect.fromOption(NatsService.requestOf(client)),
                (request) => run(what, request.setReplyHeader)
              ).pipe(Effect.catchTag("NoSuchElementError", Effect.die))
          })
        ))
        for (const subject of subjects) {
          const answer = seen(yield* nats.request(subject, JSON.stringify("huge failure")))
          assert.deepStrictEqual(answer, { code: "410", description: "Gone", body: "" }, subject)
        }
        for (const subject of ["typed", "service.ask"]) {
          for (const [what, code] of [["fine", "500"], ["annotated", "404"], ["dies", "500"]]) {
            const reply = yield* nats.request(subject, JSON.stringify(what))
            assert.strictEqual(seen(reply).code, code, `${subject} ${what}`)
            assert.isUndefined(reply.header("Huge"))
            if (what === "dies") assert.strictEqual(seen(reply).description, "internal error", subject)
          }
        }
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("to a ServiceError has its code and its description", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.provideService(serve("10 seconds"), NatsClient.NatsClient, nats)
      for (const subject of subjects) {
        const { code, description } = seen(yield* nats.request(subject, JSON.stringify("own code")))
        assert.deepStrictEqual([code, description], ["409", "taken"], subject)
      }
    }))

  it.effect("to an error that no schema names tells nothing of it, unless its class has a code", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.provideService(
        NatsListener.make("any", NatsListener.replying(() => Effect.fail(new Plain({ id: "secret 7531" })))),
        NatsClient.NatsClient,
        nats
      )
      assert.deepStrictEqual(seen(yield* nats.request("any")), internal)
    }))

  it.effect("to what a stop has no time for is 503, whether a handler had begun it or not", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      let open = 0
      const slow = Effect.suspend(() => ++open === 3 ? Deferred.succeed(begun, undefined) : Effect.void).pipe(
        Effect.andThen(Effect.never)
      )
      yield* serve("20 millis", slow).pipe(
        Effect.provideService(NatsClient.NatsClient, nats),
        Scope.provide(scope)
      )
      // Each of the three has one handler at a time: the others wait unread.
      const asked = yield* Effect.forkChild(
        Effect.forEach(
          [...subjects, ...subjects, ...subjects],
          (subject) =>
            Effect.map(nats.request(subject, JSON.stringify("slow")), (reply) => [subject, seen(reply).code]),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      yield* Deferred.await(begun)
      yield* nats.flush
      yield* Scope.close(scope, Exit.void)
      const answers = yield* Fiber.join(asked)
      assert.deepStrictEqual(answers, [...subjects, ...subjects, ...subjects].map((subject) => [subject, "503"]))
    }))

  it.effect("to what consume has no time for is 503, too, where its handler replies", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.TestNatsServer
      const nats = yield* NatsClient.make({ servers: server.url, drainTimeout: "20 millis" })
      const begun = yield* Deferred.make<void>()
      const consuming = yield* Effect.forkChild(
        nats.consume(
          "consumed",
          NatsListener.replying(() => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never))
        ),
        { startImmediately: true }
      )
      yield* nats.flush
      const asked = yield* Effect.forkChild(
        Effect.forEach([1, 2, 3], () => Effect.map(nats.request("consumed"), (reply) => seen(reply).code), {
          concurrency: "unbounded"
        }),
        { startImmediately: true }
      )
      yield* Deferred.await(begun)
      yield* nats.flush
      yield* Fiber.interrupt(consuming)
      assert.deepStrictEqual(yield* Fiber.join(asked), ["503", "503", "503"])
    }))

  it.effect("keeps its headers where the body alone is too large", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.gen(function*() {
        yield* Typed.respond((_, request) =>
          Effect.suspend(() => {
            request.setReplyHeader("Retry-After", "3")
            return Effect.fail(new NotFound({ id: "x".repeat(2_000_000) }))
          })
        )
        const reply = yield* nats.request("typed", JSON.stringify("fine"))
        assert.deepStrictEqual([seen(reply).code, reply.text, reply.header("Retry-After")], ["404", "", "3"])
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("to what came in after the handlers were busy is 503, too, when a stop has no time for it", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      let open = 0
      const slow = Effect.suspend(() => ++open === 3 ? Deferred.succeed(begun, undefined) : Effect.void).pipe(
        Effect.andThen(Effect.never)
      )
      yield* serve("20 millis", slow).pipe(Effect.provideService(NatsClient.NatsClient, nats), Scope.provide(scope))
      const ask = Effect.forkChild(
        Effect.forEach(
          subjects,
          (subject) => Effect.map(nats.request(subject, JSON.stringify("slow")), (reply) => seen(reply).code),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      const first = yield* ask
      yield* Deferred.await(begun)
      const later = yield* ask
      yield* nats.flush
      yield* Scope.close(scope, Exit.void)
      for (const asked of [first, later]) assert.deepStrictEqual(yield* Fiber.join(asked), ["503", "503", "503"])
    }))

  it.effect("has the headers that the handler gave it, also when it fails, and the caller reads them", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const WithHeaders = Group.toLayer({
        ask: (what, { client }) =>
          Effect.suspend(() => {
            const request = NatsService.requestOf(client)
            if (request._tag === "Some") request.value.setReplyHeader("Served-On", request.value.message.subject)
            return handle(what)
          })
      })
      yield* Effect.gen(function*() {
        yield* Typed.respond((what, request) =>
          Effect.suspend(() => {
            request.setReplyHeader("Served-On", request.message.subject)
            return handle(what)
          })
        )
        yield* NatsListener.make(
          "plain",
          NatsListener.replying((message) =>
            Effect.succeed({ payload: message.text, headers: { "Served-On": message.subject } })
          )
        )
        yield* NatsService.make(Group, { name: "service", version: "1.0.0" }).pipe(Effect.provide(WithHeaders))
        for (const subject of subjects) {
          const reply = yield* nats.request(subject, JSON.stringify("fine"))
          assert.strictEqual(reply.header("Served-On"), subject)
          assert.strictEqual(reply.text, `"fine"`)
        }
        for (const subject of ["typed", "service.ask"]) {
          const refused = yield* nats.request(subject, JSON.stringify("annotated"))
          assert.strictEqual(refused.header("Served-On"), subject)
          assert.strictEqual(refused.header("Nats-Service-Error-Code"), "404")
        }
        const read: Array<string | undefined> = []
        const onReply = (reply: NatsMessage.NatsMessage) => {
          read.push(reply.header("Served-On"))
        }
        yield* Typed.request("fine", { onReply })
        const client = yield* NatsService.client(Group, { name: "service" })
        yield* client.ask("fine", { onReply })
        assert.deepStrictEqual(read, ["typed", "service.ask"])
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("with a header that NATS does not allow is 500: its caller does not wait", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      yield* Effect.gen(function*() {
        yield* Typed.respond((what, request) =>
          Effect.sync(() => {
            request.setReplyHeader("No Name", "x")
            return what
          })
        )
        yield* NatsListener.make(
          "plain",
          NatsListener.replying(() => Effect.succeed({ payload: "", headers: { "No Name": "x" } }))
        )
        yield* NatsService.make(Group, { name: "service", version: "1.0.0" }).pipe(Effect.provide(
          Group.toLayer({
            ask: (what, { client }) =>
              Effect.sync(() => {
                const request = NatsService.requestOf(client)
                if (request._tag === "Some") request.value.setReplyHeader("No Name", "x")
                return what
              })
          })
        ))
        for (const subject of subjects) {
          assert.deepStrictEqual(seen(yield* nats.request(subject, JSON.stringify("fine"))), internal, subject)
        }
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))

  it.effect("of another language keeps its code, its body and its headers, and none of them in a log", () =>
    Effect.gen(function*() {
      const nats = yield* connect
      const body = `{"details":"secret 7531"}`
      yield* Effect.gen(function*() {
        yield* NatsListener.make(["typed", "service.ask"], (message) =>
          message.respond(body + " ".repeat(100_000), {
            headers: {
              "Nats-Service-Error": `what\thappened${"!".repeat(2_000)}`,
              "Nats-Service-Error-Code": "BAD_INPUT",
              "Retry-After": "3",
              "Huge": "h".repeat(20_000)
            }
          }))
        const client = yield* NatsService.client(Group, { name: "service" })
        for (const call of [Typed.request("x"), client.ask("x")]) {
          const error = yield* Effect.flip(call)
          assert.instanceOf(error, NatsError.ServiceError)
          assert.strictEqual(error.code, 0)
          assert.strictEqual(error.codeText, "BAD_INPUT")
          assert.strictEqual(error.description, `what happened${"!".repeat(2_000)}`.slice(0, 1024))
          assert.include(error.message, "BAD_INPUT")
          assert.isTrue(error.body.startsWith(body))
          assert.strictEqual(error.body.length, 64 * 1024)
          assert.deepStrictEqual(error.headers["Retry-After"], ["3"])
          assert.isUndefined(error.headers["Huge"])
          assert.notInclude(error.message + JSON.stringify(error) + String(error), "7531")
        }
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
    }))
})
