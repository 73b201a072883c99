/** Who answers a publish may say anything, and a person reads it in the error. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { JetStream } from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { inspect } from "node:util"

const password = "correct-horse-battery"

it.live("an answer to a publish that repeats the client's password is shown without it", () =>
  Effect.gen(function*() {
    const auth = { user: "john", password }
    const server = yield* TestNatsServer.make({ jetstream: true, users: [auth] })
    const nats = yield* NatsClient.make({ servers: server.url, auth })
    const js = yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats)
    const answer = (errCode: number, description: string) =>
      JSON.stringify({ error: { code: 400, err_code: errCode, description }, stream: password })
    const cases: ReadonlyArray<readonly [tag: string, answer: string]> = [
      ["WrongStream", answer(10060, password)],
      ["StreamFull", answer(10077, "maximum messages exceeded")],
      ["WrongLastMessageId", answer(10070, `wrong last msg ID: ${password}`)],
      ["MessageRefused", answer(1, password)]
    ]
    for (const [index, [tag, text]] of cases.entries()) {
      const subject = `asked.${index}`
      const answers = yield* nats.subscription(subject)
      yield* Effect.forkChild(Stream.runForEach(answers.stream, (asked) => asked.respond(text)))
      const message = { subject, expect: { stream: "ORDERS" } }
      for (
        const failing of [js.publish(subject, "", message), Stream.runDrain(js.publishAll(Stream.make(message)))]
      ) {
        const error = yield* Effect.flip(failing)
        assert.strictEqual(error._tag, tag)
        assert.notInclude(`${error}${JSON.stringify(error)}${inspect(error)}`, password)
      }
    }
  }))
