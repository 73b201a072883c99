/** The spans of calls, whose end is that of the call: an answer that is an error ends none of them well. */
import { assert, it } from "@effect/vitest"
import { Cause, Context, Effect, Exit, Layer, Logger, Schema, SchemaTransformation, Tracer } from "effect"
import { NatsClient, NatsListener, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { keepSpans } from "../fixtures/keptSpans.ts"

class Sold extends Schema.TaggedError<Sold>()("Sold", { id: Schema.String }, { natsServiceErrorCode: 410 }) {}

const contract = { payload: Schema.String, success: Schema.Int, error: Sold }
const Group = RpcGroup.make(Rpc.make("get", contract))
const Definition = SubjectSchema.makeRequest("typed.get", contract)

const handle = (what: string): Effect.Effect<number, Sold> =>
  what === "fail"
    ? Effect.fail(new Sold({ id: "7" }))
    : what === "die"
    ? Effect.die(new Error("a fault"))
    : Effect.succeed(1)

interface Seen {
  readonly kind: string
  readonly outcome: string
  readonly errorType: unknown
}

/** The spans that `run` makes, as they ended. */
const spansOf = Effect.fnUntraced(function*<A, E, R>(run: Effect.Effect<A, E, R>) {
  const { spans, tracer } = keepSpans()
  const exit = yield* Effect.exit(Effect.provideService(run, Tracer.Tracer, tracer))
  const seen = (kind: string): Seen => {
    const span = spans.find((span) => span.kind === kind)
    assert(span?.status._tag === "Ended", `${kind}: ${span?.status._tag}`)
    const error = Exit.isFailure(span.status.exit) ? Cause.squash(span.status.exit.cause) : undefined
    return {
      kind,
      outcome: error === undefined
        ? "well"
        : String((error as { readonly _tag?: string })._tag ?? (error as Error).name),
      errorType: span.attributes.get("error.type")
    }
  }
  return { exit, spans, seen }
})

const client = Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("the spans of a call", (it) => {
  const kinds = {
    "of a service": Effect.flatMap(
      NatsService.client(Group, { name: "service", timeout: "1 second" }),
      (calls) => Effect.succeed((what: string) => calls.get(what))
    ),
    "of a definition": Effect.succeed((what: string) => Definition.request(what, { timeout: "1 second" }))
  }
  const serving = Layer.mergeAll(
    Layer.provide(NatsService.layer(Group, { name: "service", version: "1.0.0" }), Group.toLayer({ get: handle })),
    Definition.layer(handle)
  )
  const both: ReadonlyArray<readonly [what: string, client: string | undefined, server: string | undefined]> = [
    ["fine", undefined, undefined],
    ["fail", "Sold", "Sold"],
    ["die", "ServiceError", "Error"]
  ]
  for (const [kind, makeCall] of Object.entries(kinds)) {
    for (const [what, atClient, atServer] of both) {
      it.effect(`${kind} end as it does: ${what}`, () =>
        Effect.gen(function*() {
          const { exit, seen, spans } = yield* spansOf(Effect.scoped(Effect.gen(function*() {
            const nats = yield* client
            return yield* Effect.provideService(
              Effect.gen(function*() {
                yield* Layer.build(serving)
                const call = yield* makeCall
                return yield* call(what)
              }),
              NatsClient.NatsClient,
              nats
            )
          })))
          assert.strictEqual(Exit.isSuccess(exit), atClient === undefined)
          assert.strictEqual(spans.length, 2)
          assert.deepStrictEqual(seen("client"), { kind: "client", outcome: atClient ?? "well", errorType: atClient })
          assert.deepStrictEqual(seen("server"), { kind: "server", outcome: atServer ?? "well", errorType: atServer })
        }))
    }

    const alone: ReadonlyArray<readonly [what: string, answer: string | undefined, error: string, code?: string]> = [
      ["nobody is there", undefined, "NoResponders"],
      ["nobody answers", "", "RequestTimedOut"],
      ["the result does not fit", "\"text\"", "MessageDecodeError"],
      ["a service of another language says no", "", "ServiceError", "E_NO"]
    ]
    for (const [what, answer, error, code] of alone) {
      it.effect(`${kind} do not end well where ${what}`, () =>
        Effect.gen(function*() {
          const nats = yield* client
          const call = yield* Effect.provideService(makeCall, NatsClient.NatsClient, nats)
          const isSilent = error === "RequestTimedOut"
          if (answer !== undefined) {
            yield* Effect.provideService(
              NatsListener.make(["service.get", "typed.get"], (message) =>
                isSilent
                  ? Effect.void
                  : message.respond(answer, {
                    headers: code === undefined ? {} : { "Nats-Service-Error-Code": code }
                  })),
              NatsClient.NatsClient,
              nats
            )
          }
          const { exit, seen } = yield* spansOf(Effect.provideService(call("x"), NatsClient.NatsClient, nats))
          assert.isTrue(Exit.isFailure(exit))
          assert.deepStrictEqual(seen("client"), { kind: "client", outcome: error, errorType: error })
        }))
    }
  }

  it.effect("a plain request has its reply, and its span the error in it", () =>
    Effect.gen(function*() {
      const nats = yield* client
      yield* Effect.provideService(
        NatsListener.make("plain", (message) => message.respond("body", { headers: { "Nats-Service-Error": "no" } })),
        NatsClient.NatsClient,
        nats
      )
      const { exit, seen } = yield* spansOf(nats.request("plain"))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value.text, "body")
      assert.deepStrictEqual(seen("client"), { kind: "client", outcome: "ServiceError", errorType: "ServiceError" })
    }))

  it.effect("a payload that does not fit is the caller's failure, and none of the handler", () =>
    Effect.gen(function*() {
      const { exit, seen } = yield* spansOf(Effect.scoped(Effect.gen(function*() {
        const nats = yield* client
        yield* Effect.provideService(Layer.build(serving), NatsClient.NatsClient, nats)
        return yield* nats.request("typed.get", "7")
      })))
      assert(Exit.isSuccess(exit))
      assert.strictEqual(exit.value.header("Nats-Service-Error-Code"), "400")
      assert.strictEqual(seen("client").outcome, "ServiceError")
      assert.deepStrictEqual(seen("server"), { kind: "server", outcome: "well", errorType: undefined })
    }))

  it.effect("a client in between sees replies and no failures of the contract, traced or not", () =>
    Effect.gen(function*() {
      const nats = yield* client
      const results: Array<string> = []
      const between: NatsClient.NatsClient = {
        ...nats,
        request: (subject, payload, options) =>
          // One of its own first, which the contract of the call says nothing about.
          Effect.andThen(
            nats.request("token"),
            Effect.onExit(nats.request(subject, payload, options), (exit) =>
              Effect.sync(() => {
                results.push(exit._tag)
              }))
          )
      }
      yield* Effect.gen(function*() {
        yield* NatsListener.make("token", (message) => message.respond("no JSON"))
        yield* Layer.build(serving)
        const replies: Array<string> = []
        const asked = Effect.flip(Definition.request("fail", { onReply: (reply) => replies.push(reply.text) }))
        const { exit, seen } = yield* spansOf(asked)
        assert.isTrue(Exit.isSuccess(exit) && exit.value._tag === "Sold")
        assert.strictEqual(seen("client").outcome, "well")
        yield* asked
        assert.deepStrictEqual(results, ["Success", "Success"])
        assert.strictEqual(replies.length, 2)
      }).pipe(Effect.provideService(NatsClient.NatsClient, between))
    }))

  it.effect("a failure that the contract names is in the span, and no failure in the log", () =>
    Effect.gen(function*() {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => lines.push(String(message)))
      const { seen } = yield* spansOf(
        Effect.scoped(Effect.gen(function*() {
          const nats = yield* client
          yield* Effect.gen(function*() {
            yield* Layer.build(serving)
            for (const what of ["fail", "fail"]) yield* Effect.flip(Definition.request(what))
          }).pipe(Effect.provideService(NatsClient.NatsClient, nats))
        })).pipe(Effect.provide(Logger.layer([logger])))
      )
      assert.strictEqual(seen("server").outcome, "Sold")
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("a reply that a client in between has put in place of the other is the one that counts", () =>
    Effect.gen(function*() {
      const nats = yield* client
      const between: NatsClient.NatsClient = {
        ...nats,
        request: (subject, payload, options) =>
          Effect.andThen(nats.request(subject, payload, options), nats.request("cached"))
      }
      yield* Effect.gen(function*() {
        yield* NatsListener.make("cached", (message) => message.respond("2"))
        yield* Layer.build(serving)
        for (const what of ["fine", "fail"]) {
          const { exit } = yield* spansOf(Definition.request(what))
          assert.isTrue(Exit.isSuccess(exit) && exit.value === 2)
        }
      }).pipe(Effect.provideService(NatsClient.NatsClient, between))
    }))

  it.effect("a schema that asks while it decodes has its own replies", () =>
    Effect.gen(function*() {
      class Rates extends Context.Service<Rates, NatsClient.NatsClient>()("test/Rates") {}
      const Rated = Schema.Int.pipe(Schema.decodeTo(
        Schema.Int,
        SchemaTransformation.transformEffect({
          decode: (n: number) => Effect.flatMap(Rates, (nats) => Effect.orDie(Effect.as(nats.request("rated"), n * 2))),
          encode: (n: number) => Effect.succeed(n)
        })
      ))
      const Asked = SubjectSchema.makeRequest("rated", { payload: Schema.Void, success: Rated })
      const nats = yield* client
      yield* Effect.gen(function*() {
        yield* NatsListener.make("rated", (message) => message.respond("2"))
        const { exit, spans } = yield* spansOf(Asked.request())
        assert.isTrue(Exit.isSuccess(exit) && exit.value === 4)
        assert.strictEqual(spans.filter((span) => span.kind === "client").length, 2)
      }).pipe(Effect.provideService(NatsClient.NatsClient, nats), Effect.provideService(Rates, nats))
    }))
})
