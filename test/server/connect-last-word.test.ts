/**
 * A client that is thrown out while it publishes hard meets a failing write before it has read why. These tests hold the
 * work-around in `transportLastWord.ts`, which leans on node's streams.
 */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import type { Session } from "../../src/internal/wire/session.ts"
import { dialTo, password, Recorder } from "../fixtures/dialling.ts"

const clients = 10
const rounds = 6

/** Writes in every turn of the event loop until the session ends. */
const publishHard = (session: Session, count: number, size: number): void => {
  const payload = new Uint8Array(size)
  const turn = (): void => {
    if (session.isOpen) {
      for (let i = 0; i < count; i++) {
        session.writer.publish("hard", "", undefined, payload)
      }
      setImmediate(turn)
    }
  }
  turn()
}

const endsOfKicks = (over: "tcp" | "tls" | "websocket", count: number, size: number) =>
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority()
    const tls = over === "tls" ? yield* authority.issue() : undefined
    const server = yield* TestNatsServer.make({
      users: [{ user: "john", password: "p0" }],
      tls,
      websocket: over === "websocket"
    })
    const tags: Array<string> = []
    for (let round = 0; round < rounds; round++) {
      const owners = Array.from({ length: clients }, () => new Recorder())
      const sessions = yield* Effect.forEach(owners, (owner) =>
        dialTo(server.websocketUrl ?? server.url, {
          credentials: password("john", `p${round}`),
          owner,
          tls: { ca: authority.cert }
        }))
      for (const session of sessions) {
        publishHard(session, count, size)
      }
      yield* server.reload({ users: [{ user: "john", password: `p${round + 1}` }] })
      const ends = yield* Effect.forEach(owners, (owner) => owner.end)
      tags.push(...ends.map((error) => error._tag))
    }
    return tags
  })

const refusedAll = Array.from({ length: clients * rounds }, () => "AuthorizationViolation")

describe("the last word", () => {
  it.live("of 60 clients kicked while publishing hard, 60 know that they were refused", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endsOfKicks("tcp", 2000, 512), refusedAll)
    }))

  it.live("of 60 with TLS too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endsOfKicks("tls", 1000, 1024), refusedAll)
    }))

  it.live("of 60 with WebSocket too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* endsOfKicks("websocket", 1000, 1024), refusedAll)
    }))
})
