/** The failures of a call, parted from those of a contract. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Schema } from "effect"
import { type NatsClient, NatsError } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { Rpc, RpcGroup } from "effect/rpc"

class Missing extends Schema.TaggedError<Missing>()("Missing", {}) {}

const Group = RpcGroup.make(Rpc.make("get", { success: Schema.Int, error: Missing }))

const failures: ReadonlyArray<NatsService.CallError> = [
  new NatsError.InvalidSubject({ what: "subject", subject: "a b", problem: "it has a space" }),
  new NatsError.InvalidPayload({ subject: "a", given: "an array" }),
  new NatsError.InvalidHeader({ header: "a", problem: "it is empty" }),
  new NatsError.MaxPayloadExceeded({ subject: "a", size: 2, limit: 1 }),
  new NatsError.ConnectionClosed({}),
  new NatsError.NoResponders({ subject: "a" }),
  new NatsError.RequestTimedOut({ subject: "a", timeoutMillis: 1 }),
  new NatsError.PermissionsViolation({ operation: "publish", subject: "a" }),
  new NatsError.MessageEncodeError({ subject: "a", path: "", problem: "it is no number" }),
  new NatsError.MessageDecodeError({ subject: "a", path: "", problem: "it is no number" }),
  new NatsError.ServiceError({ subject: "a", code: 500, description: "internal error" })
]

const orDie = <A, E, R>(call: Effect.Effect<A, E, R>) =>
  Effect.catchIf(call, NatsService.isCallError, (error) => Effect.die(error))

/** Compiles while the types of the failures are parted, too. */
export const parted: Effect.Effect<number, Missing | NatsService.InvalidService, NatsClient.NatsClient> = Effect
  .flatMap(
    NatsService.client(Group, { name: "a" }),
    (client) => orDie(client.get())
  )

describe("the failures of a call", () => {
  it("a fault of the service is not said to be one of the request", () => {
    const messageOf = (code: number) => new NatsError.ServiceError({ subject: "a", code, description: "" }).message
    assert.strictEqual(messageOf(500), "The service on \"a\" answered with error 500: see the service's log.")
    assert.match(messageOf(404), /error 404: correct the request, or see the service's log\.$/)
  })

  it("are known apart from those that a contract names", () => {
    for (const failure of failures) assert.isTrue(NatsService.isCallError(failure), failure._tag)
    assert.isFalse(NatsService.isCallError(new Missing()))
    assert.isFalse(NatsService.isCallError({ _tag: "NoResponders" }))
    assert.isFalse(NatsService.isCallError(undefined))
  })

  it.effect("can be made defects at once, and the contract's failure stays", () =>
    Effect.gen(function*() {
      const lost = Effect.fail<Missing | NatsError.NoResponders>(new NatsError.NoResponders({ subject: "a" }))
      const missing = Effect.fail<Missing | NatsError.NoResponders>(new Missing())
      assert.isTrue(Exit.hasDies(yield* Effect.exit(orDie(lost))))
      assert.instanceOf(yield* Effect.flip(orDie(missing)), Missing)
    }))
})

it("is retryable where another instance or a later try can answer", () => {
  const codes = [400, 404, 422, 429, 500, 502, 503, 504]
  const retryable = codes.filter((code) =>
    new NatsError.ServiceError({ subject: "a", code, description: "" }).isRetryable
  )
  assert.deepStrictEqual(retryable, [429, 503])
})
