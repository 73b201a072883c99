/** Every request gets its answer also where the server's `max_payload` is less than what there is to tell. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { NatsClient, NatsListener, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"

class Long extends Schema.TaggedError<Long>()("Long", { text: Schema.String }, { natsServiceErrorCode: 404 }) {
  override get message(): string {
    return this.text
  }
}

const contract = { payload: Schema.String, success: Schema.String, error: Long }
const Typed = SubjectSchema.makeRequest("typed", contract)
const Group = RpcGroup.make(Rpc.make("ask", contract))

const handle = (what: string): Effect.Effect<string, Long> =>
  what === "result" ? Effect.succeed("r".repeat(2_000)) : Effect.fail(new Long({ text: what.repeat(400) }))

const subjects = ["typed", "plain", "service.ask"]

const serve = (nats: NatsClient.NatsClient) =>
  Effect.gen(function*() {
    yield* Typed.respond(handle)
    yield* NatsListener.make("plain", NatsListener.replying((message) => handle(JSON.parse(message.text) as string)))
    yield* NatsService.make(Group, { name: "service", version: "1.0.0" }).pipe(
      Effect.provide(Group.toLayer({ ask: handle }))
    )
  }).pipe(Effect.provideService(NatsClient.NatsClient, nats))

it.layer(Layer.empty, { timeout: "60 seconds", excludeTestServices: true })(
  "where an answer may be 300 bytes",
  (it) => {
    it.effect("a failure has its code, and as much of its description as there is room for", () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ maxPayload: 300 })
        const nats = yield* NatsClient.make({ servers: server.url })
        yield* serve(nats)
        for (const subject of subjects) {
          for (const letter of ["x", "é", "😀", "\""]) {
            const reply = yield* nats.request(subject, JSON.stringify(letter), { timeout: "2 seconds" })
            const description = reply.header("Nats-Service-Error")!
            assert.deepStrictEqual([reply.header("Nats-Service-Error-Code"), reply.text], ["404", ""], subject)
            assert.match(description, new RegExp(`^${letter}*\ufffd?$`, "u"), subject)
            if (letter === "x") assert.isAbove(description.length, 200, subject)
          }
          const reply = yield* nats.request(subject, JSON.stringify("result"), { timeout: "2 seconds" })
          assert.deepStrictEqual([reply.header("Nats-Service-Error-Code"), reply.text], ["500", ""], subject)
        }
      }))

    it.effect("and the server takes no headers, it has both as a payload", () =>
      Effect.gen(function*() {
        const server = yield* TestNatsServer.make({ maxPayload: 300, config: "no_header_support: true" })
        const nats = yield* NatsClient.make({ servers: server.url })
        yield* serve(nats)
        for (const subject of subjects) {
          for (const letter of ["x", "\""]) {
            const { text } = yield* nats.request(subject, JSON.stringify(letter), { timeout: "2 seconds" })
            const told = JSON.parse(text) as Readonly<Record<string, string>>
            assert.deepStrictEqual(Object.keys(told), ["Nats-Service-Error", "Nats-Service-Error-Code"], subject)
            assert.strictEqual(told["Nats-Service-Error-Code"], "404", subject)
            assert.match(told["Nats-Service-Error"], new RegExp(`^${letter}+$`), subject)
          }
          const { text } = yield* nats.request(subject, JSON.stringify("result"), { timeout: "2 seconds" })
          assert.strictEqual((JSON.parse(text) as Record<string, string>)["Nats-Service-Error-Code"], "500", subject)
        }
      }))
  }
)
