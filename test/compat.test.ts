/** What the room `compat` says in the words of nats-core, where no server has to decide it. */
import { assert, describe, it } from "@effect/vitest"
import { errors, headers } from "@nats-io/nats-core"
import {
  AuthenticationExpired,
  AuthorizationViolation,
  ConnectionReset,
  StaleConnection
} from "effect-nats/ConnectError"
import {
  ConnectionClosed,
  ConnectionLost,
  HeadersNotSupported,
  InvalidHeader,
  MaxPayloadExceeded,
  NoResponders,
  PermissionsViolation,
  RequestTimedOut,
  SlowConsumer,
  SubscriptionLimitExceeded
} from "effect-nats/NatsError"
import type { NatsMessage } from "effect-nats/NatsMessage"
import { errorOf, type Failure, requestErrorOf } from "../src/compat/internal/errors.ts"
import { headersOf, replied } from "../src/compat/internal/messages.ts"
import { hostOf, statusesOf } from "../src/compat/internal/statuses.ts"

const server = "nats://127.0.0.1:4222"
const reason = new StaleConnection({ server })

describe("errors", () => {
  const classes: ReadonlyArray<readonly [Failure, new(...args: Array<never>) => Error, boolean]> = [
    [new NoResponders({ subject: "a" }), errors.NoRespondersError, true],
    [new RequestTimedOut({ subject: "a", timeoutMillis: 1 }), errors.TimeoutError, false],
    [new ConnectionLost({ reason }), errors.RequestError, false],
    [new ConnectionClosed({ reason }), errors.ClosedConnectionError, false],
    [new PermissionsViolation({ operation: "publish", subject: "a" }), errors.PermissionViolationError, true],
    [new SubscriptionLimitExceeded({ subject: "a" }), errors.ProtocolError, true],
    [new MaxPayloadExceeded({ subject: "a", size: 2, limit: 1 }), errors.InvalidArgumentError, false],
    [new InvalidHeader({ header: "a", problem: "b" }), errors.InvalidArgumentError, false],
    [new HeadersNotSupported({ server }), errors.InvalidArgumentError, false],
    [new SlowConsumer({ subject: "a", messages: 1, bytes: 1 }), errors.RequestError, false]
  ]

  for (const [failure, given, isInside] of classes) {
    const expected = given as unknown as ErrorConstructor
    it(`${failure._tag} is a ${expected.name} with it as cause, and of a request what nats-core has there`, () => {
      const error = errorOf(failure)
      assert.instanceOf(error, expected)
      assert.strictEqual(error.cause, failure)
      const ofRequest = requestErrorOf(failure)
      if (!isInside) return assert.instanceOf(ofRequest, expected)
      assert.instanceOf(ofRequest, errors.RequestError)
      assert.instanceOf(ofRequest.cause, expected)
    })
  }
})

describe("statuses", () => {
  const types = (event: Parameters<typeof statusesOf>[0]): ReadonlyArray<string> =>
    statusesOf(event).map((status) => status.type === "error" ? status.error.name : status.type)

  it("the first session is no reconnect, and each later one is", () => {
    assert.deepStrictEqual(types({ _tag: "Connected", server, session: 1 }), [])
    assert.deepStrictEqual(statusesOf({ _tag: "Connected", server, session: 2 }), [
      { type: "reconnect", server: "127.0.0.1:4222" }
    ])
  })

  it("the end of a session has its cause before it, where nats-core has a word for it", () => {
    const ends = (reason: ConstructorParameters<typeof ConnectionLost>[0]["reason"]): ReadonlyArray<string> =>
      types({ _tag: "Disconnected", server, reason })
    const gone = ["disconnect", "reconnecting"]
    assert.deepStrictEqual(ends(reason), ["staleConnection", ...gone])
    assert.deepStrictEqual(ends(new ConnectionReset({ server, stage: "up" })), gone)
    assert.deepStrictEqual(ends(new ConnectionReset({ server, stage: "up", requested: true })), [
      "forceReconnect",
      ...gone
    ])
    assert.deepStrictEqual(ends(new AuthenticationExpired({ server })), ["UserAuthenticationExpiredError", ...gone])
    const refused = new AuthorizationViolation({ server, method: "Token" })
    assert.deepStrictEqual(ends(refused), ["AuthorizationError", ...gone])
    assert.deepStrictEqual(types({ _tag: "Reconnecting", attempt: 1, delayMillis: 1, reason: refused }), [
      "AuthorizationError",
      "reconnecting"
    ])
  })

  it("what the server says, and what could not be sent", () => {
    assert.deepStrictEqual(types({ _tag: "LameDuck", server }), ["ldm"])
    assert.deepStrictEqual(types({ _tag: "ServerComplaint", text: "x" }), ["ProtocolError"])
    assert.deepStrictEqual(types({ _tag: "Undelivered", messages: 2 }), ["ConnectionError"])
    assert.deepStrictEqual(types({ _tag: "Overflow", subject: "a", policy: "fail" }), [])
    assert.deepStrictEqual(types({ _tag: "Closed" }), [])
  })

  it("a server is its host and port, of any URL", () => {
    assert.deepStrictEqual(
      [server, "tls://[::1]:4222", "ws://a.example:80/path?x=1", "10.0.0.1:4222"].map(hostOf),
      ["127.0.0.1:4222", "[::1]:4222", "a.example:80", "10.0.0.1:4222"]
    )
  })
})

describe("messages", () => {
  const publisher = { publish: () => {} }

  it("a reply that a client in between has made is one, with headers and without", () => {
    const given = { subject: "a", reply: "b", data: new Uint8Array([1, 2]), headers: { Twice: ["1", "2"] } }
    const message = replied(given as unknown as NatsMessage, publisher)
    assert.deepStrictEqual([message.subject, message.reply, [...message.data]], ["a", "b", [1, 2]])
    assert.deepStrictEqual(message.headers?.values("Twice"), ["1", "2"])
    const bare = replied({ ...given, reply: undefined, headers: {} } as unknown as NatsMessage, publisher)
    assert.deepStrictEqual([bare.reply, [...bare.data], bare.headers], ["", [1, 2], undefined])
  })

  it("headers are read by what they have, of whichever copy, and a trace is added to what is sent alone", () => {
    const given = headers()
    given.append("a", "1")
    const foreign = { code: 0, [Symbol.iterator]: () => given[Symbol.iterator]() }
    assert.deepStrictEqual(headersOf(foreign as never, { traceDestination: "t", traceOnly: true }), {
      headers: { a: ["1"], "Nats-Trace-Only": "true", "Nats-Trace-Dest": "t" }
    })
    assert.deepStrictEqual(headersOf(given, { traceOnly: false }), { headers: { a: ["1"] } })
    assert.deepStrictEqual(headersOf(undefined, undefined), {})
    assert.deepStrictEqual(given.keys(), ["a"])
  })
})
