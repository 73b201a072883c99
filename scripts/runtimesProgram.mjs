/**
 * What a program does with the package on any runtime, step by step: prints a line for each, closes all of it, and has to
 * end by itself. Run by `runtimes.mjs` in a project that has the package installed.
 *
 * The argument is the name of the runtime. `RUNTIMES_RIG` has, as JSON, where the servers listen, and files of
 * certificates.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Deferred, Effect, Exit, Fiber, Layer, Redacted, Schema, Scope, Stream } from "effect"
import { NatsClient, NatsHeaders } from "effect-nats"
import { JetStream, JetStreamConsumer, JetStreamStream } from "effect-nats/jetstream"
import { NatsService } from "effect-nats/service"
import { Rpc, RpcGroup } from "effect/rpc"

const name = process.argv[2]
const rig = JSON.parse(process.env.RUNTIMES_RIG)

const auth = { user: rig.user, password: Redacted.make(rig.password) }
const connect = (options) => NatsClient.make({ servers: rig.url, auth, ...options })

class OutOfStock extends Schema.TaggedError()("OutOfStock", { item: Schema.String }, { natsServiceErrorCode: 409 }) {}

const Stock = RpcGroup.make(
  Rpc.make("take", { payload: { item: Schema.String }, success: Schema.Finite, error: OutOfStock })
)

const handlers = Stock.toLayer({
  take: ({ item }) => item === "pen" ? Effect.succeed(42) : Effect.fail(new OutOfStock({ item }))
})

/** A failure by what is told of it to a program. */
const told = (error) => [error._tag, error.code, error.source, error.stage].filter((it) => it !== undefined).join(" ")

/** Connects, has a round trip, and closes: with what, or with which failure. */
const attempt = (options) =>
  Effect.gen(function*() {
    const nats = yield* connect({ connectTimeout: "10 seconds", ...options })
    yield* nats.flush
    return "connected"
  }).pipe(Effect.scoped, Effect.catch((error) => Effect.succeed(told(error))))

const caFile = rig.authorityFile
const tls = (options) => attempt({ servers: rig.tls, tls: { caFile }, ...options })
const mutual = (options) => attempt({ servers: rig.mutual, tls: { caFile, ...options } })

const steps = {
  "publish and subscribe": Effect.gen(function*() {
    const nats = yield* connect()
    const messages = yield* nats.subscription(`${name}.events`)
    yield* nats.flush
    for (const text of ["one", "two", "three"]) yield* nats.publish(`${name}.events`, text, { headers: { n: text } })
    const received = yield* Stream.runCollect(Stream.take(messages.stream, 3))
    return received.map((message) => `${message.text} ${NatsHeaders.get(message.headers, "n")}`).join(", ")
  }),
  "a large message": Effect.gen(function*() {
    const nats = yield* connect()
    const text = "x".repeat(1_000_000)
    const messages = yield* nats.subscription(`${name}.large`)
    yield* nats.flush
    for (let i = 0; i < 20; i++) yield* nats.publish(`${name}.large`, text)
    const received = yield* Stream.runCollect(Stream.take(messages.stream, 20))
    return `${received.reduce((sum, message) => sum + message.text.length, 0)} characters`
  }),
  "request": Effect.gen(function*() {
    const nats = yield* connect()
    yield* Effect.forkScoped(
      nats.consume(`${name}.twice`, (message) => message.respond(String(2 * Number(message.text)))),
      { startImmediately: true }
    )
    yield* nats.flush
    const answer = yield* nats.request(`${name}.twice`, "21")
    const none = yield* Effect.flip(nats.request(`${name}.nobody`, ""))
    return `${answer.text}, ${none._tag}`
  }),
  "service": Effect.gen(function*() {
    const nats = yield* connect()
    yield* Layer.build(
      NatsService.layer(Stock, { name: `stock-${name}`, version: "1.0.0" }).pipe(
        Layer.provide([handlers, Layer.succeed(NatsClient.NatsClient, nats)])
      )
    )
    const client = yield* NatsService.client(Stock, { name: `stock-${name}` }).pipe(
      Effect.provideService(NatsClient.NatsClient, nats)
    )
    const taken = yield* client.take({ item: "pen" })
    const refused = yield* Effect.flip(client.take({ item: "ink" }))
    return `${taken}, ${refused._tag} ${refused.item}`
  }),
  "JetStream": Effect.gen(function*() {
    const nats = yield* connect()
    return yield* Effect.gen(function*() {
      const js = yield* JetStream.JetStream
      const stream = name.toUpperCase()
      yield* JetStreamStream.create(
        JetStreamStream.make(stream, { subjects: [`${name}.jobs.*`], storage: "memory" })
      )
      const { sequence } = yield* js.publish(`${name}.jobs.a`, "work")
      const [message] = yield* JetStreamConsumer.ordered({ stream }).pipe(Stream.take(1), Stream.runCollect)
      return `${message.text} at ${sequence}`
    }).pipe(Effect.provide(Layer.provide(JetStream.layer(), Layer.succeed(NatsClient.NatsClient, nats))))
  }),
  "an NKey": attempt({ servers: rig.nkey, auth: { _tag: "NKey", seed: Redacted.make(rig.seed) } }),
  "a wrong password": attempt({ auth: { ...auth, password: Redacted.make("wrong") } }),
  "no server": attempt({ servers: rig.nowhere }),
  "WebSocket": attempt({ servers: rig.webSocket }),
  "no TLS": attempt({ servers: rig.url.replace("nats:", "tls:") }),
  "TLS": tls(),
  "TLS first": attempt({ servers: rig.tlsFirst, tls: { caFile, handshakeFirst: true } }),
  "TLS with another authority": tls({ tls: { caFile: rig.otherFile } }),
  "TLS with no authority": tls({ tls: {} }),
  "TLS with another name": tls({ tls: { caFile, serverName: "other.example.com" } }),
  "TLS with an expired certificate": attempt({ servers: rig.expired, tls: { caFile } }),
  "TLS with a self-signed certificate": attempt({ servers: rig.selfSigned, tls: { caFile } }),
  "TLS with a client certificate": mutual({ certFile: rig.certFile, keyFile: rig.keyFile }),
  // Which alert says it is the TLS library's, and a reset can overtake it.
  "TLS without a client certificate": Effect.map(mutual({}), (result) => result.split(" ")[0]),
  "TLS with an authority that is no file": tls({ tls: { caFile: "/nowhere/ca.pem" } }),
  "drain": Effect.gen(function*() {
    const other = yield* connect()
    const scope = yield* Scope.make()
    const nats = yield* Scope.provide(connect(), scope)
    const begun = yield* Deferred.make()
    const finish = yield* Deferred.make()
    yield* Effect.forkIn(
      nats.consume(`${name}.slow`, (message) =>
        Deferred.succeed(begun, undefined).pipe(
          Effect.andThen(Deferred.await(finish)),
          Effect.andThen(message.respond("done"))
        )),
      scope,
      { startImmediately: true }
    )
    yield* nats.flush
    const answer = yield* Effect.forkChild(other.request(`${name}.slow`, ""), { startImmediately: true })
    yield* Deferred.await(begun)
    const closing = yield* Effect.forkChild(nats.drain, { startImmediately: true })
    yield* Deferred.succeed(finish, undefined)
    yield* Fiber.join(closing)
    yield* Scope.close(scope, Exit.void)
    return (yield* Fiber.join(answer)).text
  })
}

const program = Effect.forEach(
  Object.entries(steps),
  ([step, effect]) =>
    effect.pipe(
      Effect.scoped,
      Effect.timeout("30 seconds"),
      Effect.catchCause((cause) => Effect.succeed(`FAILED ${Cause.pretty(cause)}`)),
      Effect.flatMap((result) => Console.log(`${step}: ${result}`))
    ),
  { discard: true }
)

NodeRuntime.runMain(program)
