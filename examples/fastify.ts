/**
 * A Fastify application with NATS in it: one `ManagedRuntime` for all of its routes, a status for each failure, and an end in
 * order: at SIGTERM what is under way is answered, the connection to NATS goes, and the process ends by itself.
 *
 *   node examples/fastify.ts
 *
 * Prints:
 *   POST /ask/greet: 200 Hello, Ada!
 *   POST /ask/nowhere: 503 {"error":"NoResponders","message":"Nobody answers requests on \"nowhere\": …"}
 *   POST /ask/silent: 504 {"error":"RequestTimedOut","message":"No reply on \"silent\" within 2000 ms: …"}
 *   POST /ask/two..dots: 400 {"error":"InvalidSubject","message":"The subject \"two..dots\" is invalid …"}
 *   GET /ready: 200 {"live":true,"ready":true,"state":"Connected"}
 *   a request is worked on when SIGTERM comes
 *   POST /ask/work: 200 done
 *   the server is closed, the client is Closed
 */
import { Deferred, Effect, Layer, ManagedRuntime } from "effect"
import { NatsClient, type NatsError, NatsHealth, NatsListener } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import fastify, { type FastifyReply, type FastifyRequest } from "fastify"

// The services that are asked, most often other programs.
const worked = Deferred.makeUnsafe<void>()
const finish = Deferred.makeUnsafe<void>()
const Services = Layer.mergeAll(
  NatsListener.layer("greet", NatsListener.replying(({ text }) => Effect.succeed(`Hello, ${text}!`))),
  NatsListener.layer("silent", () => Effect.never, { drainTimeout: 0 }),
  NatsListener.layer(
    "work",
    NatsListener.replying(() =>
      Deferred.succeed(worked, undefined).pipe(Effect.andThen(Deferred.await(finish)), Effect.as("done"))
    )
  )
)

// The application's part of NATS. In a program: NatsLayer.fromEnv().
const runtime = ManagedRuntime.make(Services.pipe(Layer.provideMerge(TestNatsServer.layerClient())))

const app = fastify()
let closing = false

/** For a handler: an Effect whose failure is an answer. It is interrupted when the visitor leaves. */
const handle =
  <A>(effect: (request: FastifyRequest) => Effect.Effect<A, NatsError.RequestError, NatsClient.NatsClient>) =>
  (request: FastifyRequest, reply: FastifyReply) => {
    const left = new AbortController()
    reply.raw.once("close", () => left.abort())
    // The last answer on a connection ends it, so that the end need not wait for a visitor who keeps it.
    const send = (body: unknown) => (closing ? reply.header("connection", "close") : reply).send(body)
    const failed = (status: number) => (error: NatsError.RequestError) =>
      Effect.sync(() => {
        reply.status(status)
        return send({ error: error._tag, message: error.message })
      })
    const answered = effect(request).pipe(
      Effect.map(send),
      Effect.catchTags({
        InvalidSubject: failed(400),
        PermissionsViolation: failed(403),
        MaxPayloadExceeded: failed(413),
        NoResponders: failed(503),
        RequestTimedOut: failed(504)
      }),
      // What is left is not the visitor's: the connection, the limits of the server.
      Effect.catch(failed(502))
    )
    return runtime.runPromise(answered, { signal: left.signal })
  }

app.post(
  "/ask/:subject",
  handle((request) =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const { subject } = request.params as { readonly subject: string }
      const reply = yield* nats.request(subject, String(request.body ?? ""), { timeout: "2 seconds" })
      return reply.text
    })
  )
)

app.get("/ready", async (_, reply) => {
  const health = await runtime.runPromise(Effect.flatMap(NatsClient.NatsClient, (nats) => NatsHealth.check(nats)))
  return reply.status(health.ready ? 200 : 503).send(health)
})

// Fastify runs this when the visitors that were here have their answers.
app.addHook("onClose", () => runtime.dispose())

// Without NATS there is nothing to serve: a connection that fails is the end of the start, under its own name.
const nats = await runtime.runPromise(NatsClient.NatsClient)
const url = await app.listen({ host: "127.0.0.1", port: 0 })

process.once("SIGTERM", async () => {
  closing = true
  const closed = app.close()
  await Effect.runPromise(Deferred.succeed(finish, undefined))
  await closed
  console.log(`the server is closed, the client is ${(await Effect.runPromise(nats.state))._tag}`)
})

// A visitor.
const visit = async (method: string, path: string, body: string | null = null) => {
  const response = await fetch(`${url}${path}`, { method, body })
  console.log(`${method} ${path}: ${response.status} ${await response.text()}`)
}
await visit("POST", "/ask/greet", "Ada")
await visit("POST", "/ask/nowhere", "")
await visit("POST", "/ask/silent", "")
await visit("POST", "/ask/two..dots", "")
await visit("GET", "/ready")
const work = visit("POST", "/ask/work", "")
await Effect.runPromise(Deferred.await(worked))
console.log("a request is worked on when SIGTERM comes")
process.kill(process.pid, "SIGTERM")
await work
