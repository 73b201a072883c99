/**
 * The rights that each use of JetStream needs: docs/jetstream.md has them as a table. With exactly these it works, and
 * without any one of them it fails with the subject that is denied.
 */
import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Stream } from "effect"
import { NatsClient } from "effect-nats"
import {
  JetStream,
  JetStreamConsumer,
  type JetStreamMessage,
  JetStreamStream,
  KeyValue,
  ObjectStore
} from "effect-nats/jetstream"
import { TestNatsServer } from "effect-nats/testing"
import { rawConsumer, rawStream } from "../fixtures/jetStream.ts"
import { chunksIn, makeStore } from "../fixtures/objects.ts"

type AckFailure = Effect.Error<JetStreamMessage.JetStreamMessage["ackConfirmed"]>

interface Row {
  readonly user: string
  /** What it publishes to, besides `$JS.API.INFO`. */
  readonly rights: ReadonlyArray<string>
  readonly use: Effect.Effect<unknown, { readonly _tag: string }, JetStream.JetStream>
}

/** Asked once when JetStream is made. */
const info = "$JS.API.INFO"
/** Answers, and what consumers deliver. */
const inbox = "_INBOX.>"

const worker = { stream: "ORDERS", consumer: "worker" }

/** Ends with the first element. */
const first = <A, E, R>(stream: Stream.Stream<A, E, R>) => Stream.runDrain(Stream.take(stream, 1))

const made = JetStreamStream.make("MADE", { subjects: ["made.>"], storage: "memory" })

const rows: ReadonlyArray<Row> = [
  {
    user: "publisher",
    rights: ["orders.>"],
    use: JetStream.JetStream.use((js) =>
      Effect.andThen(
        js.publish("orders.1", "x", { msgId: "1" }),
        Stream.runDrain(js.publishAll(Stream.make({ subject: "orders.2", payload: "x" })))
      )
    )
  },
  {
    user: "messages",
    rights: [
      "$JS.API.CONSUMER.MSG.NEXT.ORDERS.worker",
      "$JS.ACK.ORDERS.worker.>"
    ],
    use: first(Stream.tap(JetStreamConsumer.messages(worker), (message) => message.ackConfirmed))
  },
  {
    user: "fetch",
    rights: [
      "$JS.API.CONSUMER.MSG.NEXT.ORDERS.worker",
      "$JS.ACK.ORDERS.worker.>"
    ],
    use: Stream.runDrain(Stream.tap(JetStreamConsumer.fetch(worker, 1), (message) => message.ackConfirmed))
  },
  {
    user: "process",
    rights: [
      "$JS.API.CONSUMER.INFO.ORDERS.worker",
      "$JS.API.CONSUMER.MSG.NEXT.ORDERS.worker",
      "$JS.ACK.ORDERS.worker.>"
    ],
    // What `process` acknowledges by itself is not confirmed, so that its refusal is an event of the client.
    use: Effect.scoped(Effect.gen(function*() {
      const handled = yield* Deferred.make<void, AckFailure>()
      const { ended } = yield* JetStreamConsumer.processScoped(
        worker,
        (message) => Effect.flatMap(Effect.exit(message.ackConfirmed), (exit) => Deferred.done(handled, exit))
      )
      yield* Effect.raceFirst(ended, Deferred.await(handled))
    }))
  },
  {
    user: "ordered",
    rights: ["$JS.API.CONSUMER.CREATE.ORDERS.>", "$JS.API.CONSUMER.MSG.NEXT.ORDERS.*"],
    use: first(JetStreamConsumer.ordered({ stream: "ORDERS" }))
  },
  {
    user: "keyReader",
    rights: ["$JS.API.STREAM.INFO.KV_config", "$JS.API.DIRECT.GET.KV_config.>", "$JS.API.STREAM.MSG.GET.KV_config"],
    use: Effect.flatMap(
      KeyValue.open("config"),
      (bucket) => Effect.andThen(bucket.get("a"), bucket.get("a", { consistent: true }))
    )
  },
  {
    user: "keyWriter",
    rights: ["$JS.API.STREAM.INFO.KV_config", "$KV.config.>"],
    use: Effect.flatMap(
      KeyValue.open("config"),
      (bucket) =>
        Effect.andThen(
          bucket.put("b", "1"),
          (revision) => Effect.andThen(bucket.update("b", "2", revision), bucket.delete("b"))
        )
    )
  },
  {
    user: "keyReaderOfRevisions",
    rights: ["$JS.API.STREAM.INFO.KV_config", "$JS.API.DIRECT.GET.KV_config"],
    use: Effect.flatMap(KeyValue.open("config"), (bucket) => bucket.get("a", { revision: 1 }))
  },
  {
    user: "keyModifier",
    rights: [
      "$JS.API.STREAM.INFO.KV_config",
      "$JS.API.DIRECT.GET.KV_config.>",
      "$JS.API.STREAM.MSG.GET.KV_config",
      "$KV.config.>"
    ],
    use: Effect.flatMap(
      KeyValue.open("config"),
      (bucket) =>
        Effect.andThen(
          Effect.catchTag(bucket.create("a", "1"), "KeyAlreadyExists", () => Effect.void),
          bucket.modify("c", () => "1")
        )
    )
  },
  {
    user: "locker",
    rights: ["$JS.API.STREAM.INFO.KV_locks", "$JS.API.STREAM.MSG.GET.KV_locks", "$KV.locks.>"],
    use: Effect.flatMap(
      KeyValue.open("locks"),
      (locks) => KeyValue.lock(locks, "free", {}, () => KeyValue.holder(locks, "free"))
    )
  },
  {
    user: "waitingLocker",
    rights: [
      "$JS.API.STREAM.INFO.KV_locks",
      "$JS.API.STREAM.MSG.GET.KV_locks",
      "$KV.locks.>",
      "$JS.API.CONSUMER.CREATE.KV_locks.>",
      "$JS.API.CONSUMER.MSG.NEXT.KV_locks.*"
    ],
    use: Effect.flatMap(KeyValue.open("locks"), (locks) =>
      Effect.catchTag(
        // Longer than a denial takes to come.
        KeyValue.lock(locks, "held", { wait: "2 seconds" }, () => Effect.void),
        "LockNotFree",
        () => Effect.void
      ))
  },
  {
    user: "keyWatcher",
    rights: [
      "$JS.API.STREAM.INFO.KV_config",
      "$JS.API.CONSUMER.CREATE.KV_config.>",
      "$JS.API.CONSUMER.MSG.NEXT.KV_config.*"
    ],
    use: Effect.flatMap(KeyValue.open("config"), (bucket) => first(bucket.watch()))
  },
  {
    user: "objectReader",
    rights: [
      "$JS.API.STREAM.INFO.OBJ_files",
      "$JS.API.STREAM.MSG.GET.OBJ_files",
      "$JS.API.CONSUMER.CREATE.OBJ_files.>",
      "$JS.API.CONSUMER.MSG.NEXT.OBJ_files.*"
    ],
    use: Effect.flatMap(
      ObjectStore.open("files"),
      (store) => Effect.andThen(store.getText("a"), Stream.runDrain(store.list()))
    )
  },
  {
    user: "objectWriter",
    rights: ["$JS.API.STREAM.INFO.OBJ_files", "$JS.API.STREAM.MSG.GET.OBJ_files", "$O.files.>"],
    use: Effect.flatMap(
      ObjectStore.open("files"),
      (store) => Effect.andThen(store.put("b", "x"), store.updateMeta("b", { description: "d" }))
    )
  },
  {
    user: "provisioner",
    rights: [
      "$JS.API.STREAM.INFO.MADE",
      "$JS.API.STREAM.CREATE.MADE",
      "$JS.API.STREAM.UPDATE.MADE",
      "$JS.API.STREAM.DELETE.MADE",
      "$JS.API.CONSUMER.INFO.MADE.*",
      "$JS.API.CONSUMER.CREATE.MADE.>"
    ],
    use: JetStreamStream.provision([made, JetStreamConsumer.make(made, "worker")]).pipe(
      Effect.andThen(JetStreamStream.provision([
        JetStreamStream.make("MADE", { subjects: ["made.>"], storage: "memory", description: "changed" })
      ])),
      Effect.andThen(JetStreamStream.delete(made))
    )
  }
]

const covers = (right: string, subject: string): boolean => {
  const pattern = right.split(".").map((token) =>
    token === ">" ? ".+" : token === "*" ? "[^.]+" : token.replaceAll("$", "\\$")
  )
  return new RegExp(`^${pattern.join("\\.")}$`).test(subject)
}

interface Case {
  readonly user: string
  readonly publish: ReadonlyArray<string>
  readonly use: Row["use"]
  readonly without: string | undefined
}

/** Each row with all of its rights, and once without each. */
const cases = rows.flatMap(({ rights, use, user }): ReadonlyArray<Case> => {
  const all = [info, ...rights]
  const lacking = all.map((without, i): Case => ({
    user: `${user}${i}`,
    publish: all.filter((right) => right !== without),
    use,
    without
  }))
  const whole: Case = { user, publish: all, use, without: undefined }
  return [whole].concat(lacking)
})

const account = ({ publish, user }: { readonly user: string; readonly publish: ReadonlyArray<string> }) => ({
  user,
  password: "p",
  permissions: { publish: [...publish], subscribe: [inbox] }
})

const purge = "$JS.API.STREAM.PURGE.OBJ_files"
const writes = [info, "$JS.API.STREAM.INFO.OBJ_files", "$JS.API.STREAM.MSG.GET.OBJ_files", "$O.files.>"]

const withUsers = Effect.gen(function*() {
  const server = yield* TestNatsServer.make({
    jetstream: true,
    users: [
      { user: "admin", password: "p" },
      ...cases.map(account),
      account({ user: "purging", publish: [...writes, purge] }),
      account({ user: "leaving", publish: writes })
    ]
  })
  const jetStreamOf = Effect.fnUntraced(function*(user: string) {
    const nats = yield* NatsClient.make({ servers: server.url, auth: { user, password: "p" } })
    return { nats, js: yield* Effect.provideService(JetStream.make(), NatsClient.NatsClient, nats) }
  })
  const admin = yield* jetStreamOf("admin")
  yield* rawStream(admin.nats, "ORDERS")
  yield* rawConsumer(admin.nats, "ORDERS", "worker")
  yield* Effect.provideService(
    Effect.flatMap(KeyValue.create("config", { storage: "memory" }), (bucket) => bucket.put("a", "1")),
    JetStream.JetStream,
    admin.js
  )
  yield* Effect.provideService(
    Effect.flatMap(
      KeyValue.create("locks", { storage: "memory", ttl: "1 minute" }),
      (bucket) => bucket.put("held", "1")
    ),
    JetStream.JetStream,
    admin.js
  )
  const store = yield* makeStore(admin.js, "files")
  yield* store.put("a", "x")
  return { ...admin, jetStreamOf, server }
})

it.live("each use has all that it needs in its row, and without any one of these it says which subject is denied", () =>
  Effect.gen(function*() {
    const { js, jetStreamOf } = yield* withUsers
    const wrong: Array<string> = []
    for (const { use, user, without } of cases) {
      yield* js.publish("orders.0", "x")
      yield* Effect.ignore(Effect.provideService(JetStreamStream.delete("MADE"), JetStream.JetStream, js))
      const result = yield* Effect.result(Effect.scoped(
        Effect.flatMap(jetStreamOf(user), ({ js }) => Effect.provideService(use, JetStream.JetStream, js))
      ))
      const error: { readonly _tag: string; readonly subject?: string } | undefined = result._tag === "Failure"
        ? result.failure
        : undefined
      const isRight = without === undefined
        ? error === undefined
        : error?._tag === "PermissionsViolation" && covers(without, error.subject ?? "")
      if (!isRight) {
        wrong.push(`${user} without ${without ?? "nothing"}: ${error?._tag ?? "success"} ${error?.subject ?? ""}`)
      }
    }
    assert.deepStrictEqual(wrong, [])
  }))

it.live("who may not purge puts all the same, and the former chunks stay, which a warning says", () =>
  Effect.gen(function*() {
    const { jetStreamOf, nats } = yield* withUsers
    for (const [user, left] of [["leaving", 2], ["purging", 1]] as const) {
      const { js } = yield* jetStreamOf(user)
      const store = yield* Effect.provideService(ObjectStore.open("files"), JetStream.JetStream, js)
      yield* store.put(user, "1")
      const before = Object.keys(yield* chunksIn(nats, "files")).length
      yield* store.put(user, "2")
      assert.strictEqual(yield* store.info(user).pipe(Effect.map(({ size }) => size)), 1)
      assert.strictEqual(Object.keys(yield* chunksIn(nats, "files")).length - before, left - 1)
    }
  }))
