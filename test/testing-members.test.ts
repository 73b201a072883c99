/** The servers of a new cluster that its leader goes on without. Scripted: a real one does it once in a while. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as http from "node:http"
import type { AddressInfo } from "node:net"
import { awaitMembers } from "../src/testing/internal/leaders.ts"

/** A monitoring port that gives one answer after the other, and the last one from then on. */
const monitor = (...answers: ReadonlyArray<object>) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<http.Server>((resume) => {
        let asked = 0
        const server = http.createServer((_, response) => {
          response.end(JSON.stringify({ meta_cluster: answers[Math.min(asked++, answers.length - 1)] }))
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => (server.address() as AddressInfo).port
  )

const membersOf = Effect.fnUntraced(function*(answers: ReadonlyArray<ReadonlyArray<object>>, timeoutMillis = 10_000) {
  const servers: Array<{ readonly name: string; readonly port: number }> = []
  for (const [index, each] of answers.entries()) servers.push({ name: `n${index}`, port: yield* monitor(...each) })
  return yield* awaitMembers(servers, timeoutMillis)
})

const replica = (name: string) => ({ name, current: true })

describe.concurrent("a new cluster", () => {
  it.live("is there when each server knows the leader and has all in its group", () =>
    Effect.gen(function*() {
      const part = { leader: "n0", cluster_size: 2, replicas: [replica("n1")] }
      const whole = { leader: "n0", cluster_size: 3 }
      assert.deepStrictEqual(
        yield* membersOf([[part, part, { ...whole, replicas: [replica("n1"), replica("n2")] }], [whole], [{}, whole]]),
        []
      )
    }))

  it.live("names those that its leader goes on without", () =>
    Effect.gen(function*() {
      const part = { leader: "n1", cluster_size: 2 }
      assert.deepStrictEqual(
        yield* membersOf([[part], [{ ...part, replicas: [replica("n2")] }], [part]]),
        ["n0"]
      )
    }))

  it.live("is waited for while it has no leader, and while the leader has all and others do not know it yet", () =>
    Effect.gen(function*() {
      const none = { cluster_size: 3 }
      const first = yield* Effect.flip(membersOf([[none], [none], [none]], 2_500))
      assert.strictEqual(first._tag, "NatsServerTimedOut")
      const whole = { leader: "n1", cluster_size: 3, replicas: [replica("n0"), replica("n2")] }
      const second = yield* Effect.flip(membersOf([[{ cluster_size: 2 }], [whole], [whole]], 2_500))
      assert.match(second.during, /JetStream/)
    }))
})
