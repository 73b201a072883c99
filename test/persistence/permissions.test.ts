/**
 * The rights that each store needs: docs/jetstream.md has them as a table. With exactly these it works on a stream that somebody
 * else has made, and without any one of them it fails with the subject that is denied. Who makes the stream has one right more.
 */
import { assert, it } from "@effect/vitest"
import { Duration, Effect, Layer, Result, Schema, Stream } from "effect"
import { NatsClient } from "effect-nats"
import { NatsCluster, NatsMessageStorage, NatsWorkflows } from "effect-nats/cluster"
import { JetStream } from "effect-nats/jetstream"
import {
  NatsCircuitBreaker,
  NatsKeyValueStore,
  NatsPersistedQueue,
  NatsPersistence,
  NatsRateLimiter,
  NatsReactivity
} from "effect-nats/persistence"
import { TestNatsServer } from "effect-nats/testing"
import { ClusterSchema, ClusterWorkflowEngine, Entity } from "effect/cluster"
import { CircuitBreaker, KeyValueStore, PersistedQueue, Persistence, RateLimiter } from "effect/persistence"
import { hasProperty, isTagged } from "effect/Predicate"
import { Rpc } from "effect/rpc"
import { Workflow } from "effect/workflow"
import { isAtLeast } from "../fixtures/serverVersion.ts"

interface Row {
  readonly user: string
  readonly stream: string
  /** What it publishes to, besides `$JS.API.INFO`. */
  readonly rights: ReadonlyArray<string>
  /** The first minor version of nats-server 2 that has what it uses. */
  readonly needs: number
  /** What it does without, otherwise. */
  readonly also?: ReadonlyArray<string>
  readonly use: Effect.Effect<unknown, unknown, JetStream.JetStream>
}

const info = "$JS.API.INFO"
const inbox = "_INBOX.>"

const bucket = (name: string) => [
  `$JS.API.STREAM.INFO.KV_${name}`,
  `$JS.API.STREAM.MSG.GET.KV_${name}`,
  `$KV.${name}.>`
]
const watching = (stream: string) => [`$JS.API.CONSUMER.CREATE.${stream}.>`, `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`]

const mails = PersistedQueue.make({ name: "mails", schema: Schema.String, maxAttempts: 1 })
const Queues = Layer.provide(PersistedQueue.layer, NatsPersistedQueue.layerStore({ prefix: "jobs" }))

const rows: ReadonlyArray<Row> = [
  {
    user: "keys",
    stream: "KV_state",
    needs: 9,
    rights: [...bucket("state"), "$JS.API.STREAM.PURGE.KV_state"],
    use: KeyValueStore.KeyValueStore.use((store) =>
      Effect.all([
        store.set("a", "1"),
        store.get("a"),
        store.modify("a", (text) => `${text}1`),
        store.keys,
        store.remove("a")
      ])
    ).pipe(Effect.provide(NatsKeyValueStore.layer({ bucket: "state" })))
  },
  {
    user: "cache",
    stream: "KV_cache",
    needs: 11,
    rights: [...bucket("cache"), "$JS.API.STREAM.PURGE.KV_cache", "$JS.API.DIRECT.GET.KV_cache"],
    use: Persistence.BackingPersistence.use((backing) =>
      Effect.scoped(Effect.flatMap(backing.make("users"), (store) =>
        Effect.all([
          store.set("a", {}, Duration.minutes(1)),
          store.get("a"),
          store.getMany(["a", "b"]),
          store.remove("a")
        ])))
    ).pipe(Effect.provide(NatsPersistence.layerBacking({ bucket: "cache" })))
  },
  {
    user: "limits",
    stream: "KV_rate-limiter",
    needs: 11,
    rights: bucket("rate-limiter"),
    use: RateLimiter.RateLimiter.use((limiter) =>
      limiter.consume({ key: crypto.randomUUID(), limit: 1, window: "1 minute" })
    ).pipe(Effect.provide(Layer.provide(RateLimiter.layer, NatsRateLimiter.layerStore())))
  },
  {
    user: "circuits",
    stream: "KV_circuit-breaker",
    needs: 11,
    rights: bucket("circuit-breaker").filter((right) => !right.startsWith("$KV")),
    // Outcomes, without which a call runs all the same, and a watch of what others open.
    also: ["$KV.circuit-breaker.>", ...watching("KV_circuit-breaker")],
    use: CircuitBreaker.CircuitBreaker.use((breaker) =>
      Effect.andThen(
        breaker.execute(Effect.void, { key: crypto.randomUUID(), classify: () => CircuitBreaker.failure() }),
        breaker.state(crypto.randomUUID())
      )
    ).pipe(Effect.provide(Layer.provide(
      CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(1), openDuration: "1 minute" }),
      NatsCircuitBreaker.layerStore()
    )))
  },
  {
    user: "offering",
    stream: "QUEUE_jobs",
    needs: 11,
    rights: ["jobs.>", "$JS.API.STREAM.INFO.QUEUE_jobs"],
    use: Effect.provide(Effect.flatMap(mails, (queue) => queue.offer("x")), Queues)
  },
  {
    user: "taking",
    stream: "QUEUE_jobs",
    needs: 11,
    rights: [
      "jobs.>",
      "$JS.API.STREAM.INFO.QUEUE_jobs",
      "$JS.API.CONSUMER.CREATE.QUEUE_jobs.>",
      "$JS.API.CONSUMER.MSG.NEXT.QUEUE_jobs.*"
    ],
    also: ["$JS.ACK.QUEUE_jobs.>", "$JS.API.STREAM.PURGE.QUEUE_jobs", "$JS.API.STREAM.MSG.GET.QUEUE_jobs"],
    use: Effect.provide(
      Effect.flatMap(mails, (queue) => Effect.andThen(queue.offer("x"), queue.take(() => Effect.void))),
      Queues
    )
  },
  {
    user: "burying",
    stream: "QUEUE_jobs",
    needs: 11,
    rights: ["$JS.API.STREAM.INFO.QUEUE_jobs", "$JS.API.DIRECT.GET.QUEUE_jobs"],
    use: Stream.runDrain(NatsPersistedQueue.deadLetters({ prefix: "jobs" }))
  }
]

const covers = (right: string, subject: string): boolean => {
  const pattern = right.split(".").map((token) =>
    token === ">" ? ".+" : token === "*" ? "[^.]+" : token.replaceAll("$", "\\$")
  )
  return new RegExp(`^${pattern.join("\\.")}$`).test(subject)
}

/** The subject that is denied, however deep it stands. */
const deniedIn = (error: unknown): string | undefined => {
  if (isTagged(error, "PermissionsViolation") && hasProperty(error, "subject")) return String(error.subject)
  return (hasProperty(error, "cause") ? deniedIn(error.cause) : undefined) ??
    (hasProperty(error, "reason") ? deniedIn(error.reason) : undefined)
}

interface Case extends Pick<Row, "user" | "use" | "needs"> {
  readonly publish: ReadonlyArray<string>
  readonly without: string | undefined
}

/** Each row with all of its rights, and once without each. */
const cases = rows.flatMap(({ also = [], needs, rights, use, user }): ReadonlyArray<Case> => {
  const all = [info, ...rights]
  const whole: Case = { user, use, needs, publish: [...all, ...also], without: undefined }
  const lacking = all.map((without, i): Case => ({
    user: `${user}${i}`,
    use,
    needs,
    publish: whole.publish.filter((right) => right !== without),
    without
  }))
  return [whole].concat(lacking)
})

const Add = Rpc.make("Add", { success: Schema.Int }).annotate(ClusterSchema.Persisted, true)
const Counter = Entity.make("Counter", [Add, Rpc.make("Count", { success: Schema.Int })])
const CounterLive = Counter.toLayer(Effect.sync(() => {
  let count = 0
  return Counter.of({ Add: () => Effect.sync(() => ++count), Count: () => Effect.sync(() => count) })
}))

const Greet = Workflow.make("Greet", { payload: {}, success: Schema.String, idempotencyKey: () => "once" })
const GreetLive = Greet.toLayer(() => Effect.succeed("hello"))

const ofCluster = [
  "shop.>",
  ...["INFO", "MSG.GET", "MSG.DELETE", "PURGE"].map((verb) => `$JS.API.STREAM.${verb}.CLUSTER_shop`),
  "$JS.API.DIRECT.GET.CLUSTER_shop",
  ...watching("CLUSTER_shop")
]

const createOf = (stream: string) => `$JS.API.STREAM.CREATE.${stream}`

const withUsers = Effect.gen(function*() {
  const user = (name: string, publish: ReadonlyArray<string>, subscribe: ReadonlyArray<string> = []) => ({
    user: name,
    password: "p",
    permissions: { publish: [...publish], subscribe: [inbox, ...subscribe] }
  })
  const server = yield* TestNatsServer.make({
    jetstream: true,
    users: [
      user("operator", [">"]),
      ...cases.map(({ publish, user: name }) => user(name, publish)),
      ...rows.map(({ also = [], rights, stream, user: name }) =>
        user(`${name} first`, [info, createOf(stream), ...rights, ...also])
      ),
      user("reactive", ["changed"], ["changed"]),
      user("runner", [info, ...ofCluster, inbox], ["shop.x.>"]),
      user("caller", [info, ...ofCluster]),
      user("looking", [
        info,
        ...["STREAM.INFO", "STREAM.MSG.GET", "DIRECT.GET"].map((verb) => `$JS.API.${verb}.CLUSTER_shop`)
      ])
    ]
  })
  const clientOf = (name: string) => NatsClient.layer({ servers: server.url, auth: { user: name, password: "p" } })
  return { clientOf, has: (minor: number) => isAtLeast(server.version, 2, minor) }
})

type Client = Layer.Layer<NatsClient.NatsClient, unknown>

const jetStreamOf = (client: Client) => Layer.provide(JetStream.layer(), client)

const usedBy = (client: Client, use: Row["use"]) => Effect.provide(use, Layer.fresh(jetStreamOf(client)))

it.live(
  "each store has all that it needs in its row, and without any one of these it says which subject is denied",
  () =>
    Effect.gen(function*() {
      const { clientOf, has } = yield* withUsers
      const wrong: Array<string> = []
      for (const { needs, use } of rows) if (has(needs)) yield* usedBy(clientOf("operator"), use)
      for (const { needs, use, user, without } of cases) {
        if (!has(needs)) continue
        const result = yield* Effect.result(usedBy(clientOf(user), use))
        const denied = result._tag === "Failure" ? deniedIn(result.failure) : undefined
        const isRight = without === undefined ? result._tag === "Success" : covers(without, denied ?? "")
        if (!isRight) wrong.push(`${user} without ${without ?? "nothing"}: ${result._tag} ${denied ?? ""}`)
      }
      assert.deepStrictEqual(wrong, [])
    }),
  60_000
)

it.live(
  "who makes the stream of a store needs the right to, and who may not is told so",
  () =>
    Effect.gen(function*() {
      const { clientOf, has } = yield* withUsers
      const made = new Set<string>()
      for (const { needs, stream, use, user } of rows) {
        // Who only reads dead letters makes nothing.
        if (!has(needs) || made.has(stream)) continue
        made.add(stream)
        const error = yield* Effect.flip(usedBy(clientOf(user), use))
        assert.strictEqual(deniedIn(error), createOf(stream), user)
        yield* usedBy(clientOf(`${user} first`), use)
        yield* usedBy(clientOf(user), use)
      }
    }),
  60_000
)

it.live(
  "reactivity needs its subject alone, and those of a cluster what is in their rows",
  () =>
    Effect.gen(function*() {
      const { clientOf, has } = yield* withUsers
      yield* Effect.provide(
        Effect.void,
        Layer.provide(NatsReactivity.layer({ subject: "changed" }), clientOf("reactive"))
      )
      const Cluster = Layer.provide(
        NatsCluster.layer({ prefix: "shop", shardingConfig: { shardsPerGroup: 8 } }),
        jetStreamOf(clientOf("runner"))
      )
      // Who may not make a stream is told so, also by the storage of messages, and has it made before.
      if (has(12)) {
        const denied = yield* Effect.flip(Effect.scoped(Layer.build(Layer.fresh(Cluster))))
        assert.strictEqual(deniedIn(denied), createOf("CLUSTER_shop"))
        yield* NatsMessageStorage.layer({ prefix: "shop" }).pipe(
          Layer.provide(jetStreamOf(clientOf("operator"))),
          Layer.build,
          Effect.scoped
        )
      }
      const Runner = Layer.mergeAll(CounterLive, GreetLive).pipe(
        Layer.provide(ClusterWorkflowEngine.layer),
        Layer.provide(Cluster)
      )
      const Caller = Layer.provide(
        NatsCluster.layerClientOnly({ prefix: "shop", shardingConfig: { shardsPerGroup: 8 } }),
        jetStreamOf(clientOf("caller"))
      )
      const counted = Effect.gen(function*() {
        const counter = (yield* Counter.client)("a")
        yield* counter.Add()
        yield* Greet.execute({})
        return yield* counter.Count()
      }).pipe(Effect.provide(Layer.provideMerge(ClusterWorkflowEngine.layer, Caller)))
      const result = yield* Effect.result(Effect.provide(counted, Layer.fresh(Runner)))
      if (has(12)) {
        assert.deepStrictEqual(result, Result.succeed(1))
        const found = yield* Stream.runCollect(NatsWorkflows.list({ prefix: "shop", payload: true })).pipe(
          Effect.provide(jetStreamOf(clientOf("looking")))
        )
        assert.deepStrictEqual(found.map(({ workflow }) => workflow), ["Greet"])
      } else assert.isTrue(result._tag === "Failure" && isTagged(result.failure, "UnsupportedByServer"))
    }),
  60_000
)
