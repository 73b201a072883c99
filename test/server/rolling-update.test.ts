/** The deployed program, as its manifest runs it: replaced under load without a lost request, and how it ends. */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Ref } from "effect"
import { NatsClient } from "effect-nats"
import { TestCertificates, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as childProcess from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as path from "node:path"
import { readDeployment, startProgram, variablesOf, writeVolumes } from "../fixtures/deployed.ts"
import { directory } from "../fixtures/directory.ts"
import { until } from "../fixtures/following.ts"

const rounds = 3
const callers = 50

const deployment = readDeployment()
const { replicas, template } = deployment.spec
const [container] = template.spec.containers
const { path: ready } = container.readinessProbe.httpGet

/** A broker that knows its clients by creds and certificate, and starts pods of the deployment that have both. */
const setUp = Effect.gen(function*() {
  const authority = yield* TestCertificates.authority()
  const operator = yield* TestOperator.make()
  const account = yield* operator.account("shop")
  const user = yield* account.user("quotes", {
    permissions: {
      publish: ["prices", "_INBOX.>"],
      subscribe: ["quotes.*", "$SRV.>", "_INBOX.>"]
    }
  })
  const server = yield* TestNatsServer.make({
    operator: operator.setup(account),
    tls: { ...(yield* authority.issue()), ca: authority.cert, verify: true }
  })
  const url = server.url.replace("nats://", "tls://")
  const own = yield* authority.issue({ commonName: "quotes", names: [] })
  const volumes = writeVolumes(deployment, yield* directory, {
    nats: { "nats.creds": user.creds },
    tls: { "ca.crt": authority.cert, "tls.crt": own.cert, "tls.key": own.key }
  })
  const connect = NatsClient.make({
    servers: url,
    auth: { _tag: "Creds", creds: (yield* account.user("caller")).creds },
    tls: { ca: authority.cert, cert: own.cert, key: own.key }
  })
  /** Waits are longer than a slow machine needs: none may run out. */
  const start = (name: string, changes: Readonly<Record<string, string>> = {}) =>
    startProgram({
      ...variablesOf(deployment, name, volumes),
      NATS_URL: url,
      NATS_REQUEST_TIMEOUT: "1 minute",
      ...changes
    })
  /** The subscriptions that the server has of a pod. */
  const subscriptions = (name: string) =>
    Effect.map(
      server.connz,
      (connections) => connections.find((connection) => connection.name === name)?.subscriptions ?? 0
    )
  return { connect, server, start, subscriptions }
})

const quote = (nats: NatsClient.NatsClient, quantity: number) =>
  Effect.map(
    nats.request("quotes.quote", JSON.stringify({ item: "pen", quantity }), { timeout: "2 minutes" }),
    (message) => message.text
  )

/** Prices, which wait while the gate is closed. */
const prices = Effect.fnUntraced(function*(nats: NatsClient.NatsClient) {
  const gate = yield* Ref.make(yield* Deferred.make<void>())
  let waiting = 0
  yield* Effect.forkScoped(
    nats.consume("prices", (message) =>
      Effect.gen(function*() {
        waiting++
        yield* Deferred.await(yield* Ref.get(gate))
        waiting--
        yield* message.respond("3")
      }), { concurrency: callers }),
    { startImmediately: true }
  )
  yield* nats.flush
  const open = Effect.flatMap(Ref.get(gate), (now) => Deferred.succeed(now, undefined))
  yield* open
  return {
    open,
    close: Effect.flatMap(Deferred.make<void>(), (next) => Ref.set(gate, next)),
    allWait: until(Effect.sync(() => waiting === callers))
  }
})

it.live(
  "every replica is replaced three times, the next ready before the last gets SIGTERM: each request is answered",
  () =>
    Effect.gen(function*() {
      const { connect, start, subscriptions } = yield* setUp
      const nats = yield* connect
      const { allWait, close, open } = yield* prices(nats)

      const startReady = Effect.fnUntraced(function*(name: string) {
        const pod = { name, ...(yield* start(name)) }
        yield* until(Effect.zipWith(pod.probe(ready), pod.hasEnded, (status, hasEnded) => status === 200 || hasEnded))
        assert.isFalse(yield* pod.hasEnded, yield* pod.output)
        return pod
      })
      const pods = yield* Effect.forEach(Array.from({ length: replicas }, (_, i) => `quotes-0-${i}`), startReady)

      let done = false
      let answered = 0
      const failures: Array<string> = []
      const load = yield* Effect.forkChild(Effect.forEach(Array.from({ length: callers }, (_, i) => i), (i) =>
        Effect.whileLoop({
          while: () => !done,
          body: () => Effect.result(quote(nats, i)),
          step: (result) => {
            if (result._tag === "Success" && result.success === String(3 * i)) answered++
            else failures.push(result._tag === "Success" ? result.success : `${result.failure}`)
          }
        }), { concurrency: "unbounded", discard: true }))

      for (let round = 1; round <= rounds; round++) {
        for (const i of pods.keys()) {
          const last = pods[i]
          const before = answered
          pods[i] = yield* startReady(`quotes-${round}-${i}`)
          // All are asked, and none can answer.
          yield* close
          yield* allWait
          yield* last.terminate
          yield* until(Effect.map(subscriptions(last.name), (count) =>
            count <= 1))
          assert.isFalse(yield* last.hasEnded)
          assert.strictEqual(yield* last.probe(ready), 503)
          yield* open
          assert.strictEqual(yield* last.ended, 0, yield* last.output)
          yield* until(Effect.sync(() => answered >= before + 10 * callers || failures.length > 0))
        }
      }
      done = true
      yield* Fiber.join(load)
      assert.deepStrictEqual(failures, [])
      assert.isAtLeast(answered, rounds * replicas * 10 * callers)
      // No pod has warned of its secrets, or of anything else.
      for (const pod of pods) assert.notMatch(yield* pod.output, /WARN|ERROR/)
    }),
  240_000
)

it.live("a pod whose credentials stay refused ends with 1, and its log says why", () =>
  Effect.gen(function*() {
    const { start } = yield* setUp
    const stranger = yield* (yield* (yield* TestOperator.make()).account("shop")).user("quotes")
    const file = path.join(yield* directory, "stranger.creds")
    fs.writeFileSync(file, stranger.creds, { mode: 0o400 })
    const pod = yield* start("quotes-1", { NATS_CREDS_FILE: file, NATS_RECONNECT_REFUSAL_TIMEOUT: "100 millis" })
    assert.strictEqual(yield* pod.ended, 1)
    assert.match(yield* pod.output, /refused a credentials file/)
  }), 120_000)

it.live("without the teardown a program that ends by SIGTERM has exit code 130", () =>
  Effect.gen(function*() {
    const server = yield* TestNatsServer.make()
    const program = path.join(import.meta.dirname, "../fixtures/serving.ts")
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => childProcess.spawn(process.execPath, [program, server.url], { stdio: "ignore" })),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    const ended = once(child, "close")
    const nats = yield* NatsClient.make({ servers: server.url })
    yield* until(
      Effect.map(
        Effect.result(nats.request("$SRV.PING.slow", "", { timeout: "1 second" })),
        (it) => it._tag === "Success"
      )
    )
    child.kill("SIGTERM")
    yield* Effect.promise(() => ended)
    assert.deepStrictEqual([child.exitCode, child.signalCode], [130, null])
  }), 120_000)
