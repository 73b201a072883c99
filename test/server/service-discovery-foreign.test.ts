/** Discovery among services of other libraries, whose answers differ, and among what is no service at all. */
import { assert, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Logger, References, Stream } from "effect"
import { NatsClient, NatsListener } from "effect-nats"
import { NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"
import { TestClock } from "effect/testing"
import { until } from "../fixtures/following.ts"

const client = Layer.effect(
  NatsClient.NatsClient,
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))
)

const Group = RpcGroup.make(Rpc.make("ping"))

const ours = (name: string) =>
  Effect.provide(NatsService.make(Group, { name, version: "1.0.0" }), Group.toLayer({ ping: () => Effect.void }))

const bare = { id: "X", name: "theirs", version: "0.1.0" }
const place = { name: "add", subject: "theirs.add", queue_group: "q" }
const statsType = "io.nats.micro.v1.stats_response"

const statsWith = (endpoint: Readonly<Record<string, unknown>>) =>
  JSON.stringify({ ...bare, type: statsType, endpoints: [{ ...place, ...endpoint }] })

/** Runs with what a warning says, and its annotations. */
const listening = Effect.fnUntraced(function*<A, E, R>(run: Effect.Effect<A, E, R>) {
  const warnings: Array<readonly [text: string, annotations: Readonly<Record<string, unknown>>]> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    if (logLevel === "Warn") warnings.push([String(message), { ...fiber.getRef(References.CurrentLogAnnotations) }])
  })
  const result = yield* Effect.provide(run, Logger.layer([logger]))
  return { result, warnings }
})

const found = {
  PING: Stream.runCollect(ServiceDiscovery.ping({ stall: "100 millis" })),
  INFO: Stream.runCollect(ServiceDiscovery.info({ stall: "100 millis" })),
  STATS: Stream.runCollect(ServiceDiscovery.stats({ stall: "100 millis" }))
}

/**
 * Asks for statistics where somebody answers with `answer`, and so many others with theirs. The silence at the end is that of
 * a clock which stands still until all have answered.
 */
const statsOf = (answer: string, headers: Readonly<Record<string, string>> = {}, others = 0) =>
  Effect.gen(function*() {
    const nats = yield* NatsClient.NatsClient
    yield* NatsListener.make("$SRV.STATS", (message) => message.respond(answer, { headers }))
    const asking = yield* Effect.forkChild(listening(found.STATS), { startImmediately: true })
    // The question itself comes here, too.
    yield* until(Effect.map(nats.stats, ({ messagesIn }) => messagesIn === 2 + others))
    yield* nats.flush
    yield* TestClock.adjust("100 millis")
    return yield* Fiber.join(asking)
  }).pipe(Effect.scoped, Effect.provide(client, { local: true }), Effect.provide(TestClock.layer()))

const counts = { num_requests: 4, num_errors: 1, processing_time: 10, average_processing_time: 2, last_error: "" }

const readable: ReadonlyArray<readonly [what: string, told: Record<string, unknown>, read: Record<string, unknown>]> = [
  ["no processing_time, as the C client", { num_requests: 3, num_errors: 0, average_processing_time: 7 }, {
    num_requests: 3,
    num_errors: 0,
    average_processing_time: 7,
    processing_time: 21
  }],
  ["no average", { ...counts, average_processing_time: undefined }, counts],
  ["no numbers at all", {}, {
    num_requests: 0,
    num_errors: 0,
    processing_time: 0,
    average_processing_time: 0,
    last_error: ""
  }],
  ["numbers as text", { ...counts, num_requests: "4", processing_time: " 10 ", num_errors: "1" }, counts],
  ["what is no number", { ...counts, num_requests: -1, num_errors: "1s", processing_time: "1e400", last_error: null }, {
    num_requests: 0,
    num_errors: 0,
    processing_time: 0,
    average_processing_time: 2
  }],
  ["a time beyond all numbers", { num_requests: 1e300, average_processing_time: 1e300 }, { processing_time: 0 }],
  ["an error as an object, as the Rust client", { ...counts, last_error: { status: "boom", code: 503 } }, {
    ...counts,
    last_error: `{"status":"boom","code":503}`
  }],
  ["an error as a list", { last_error: ["a", 1] }, { last_error: `["a",1]` }],
  ["data of its own", { ...counts, data: { any: ["thing"] } }, { ...counts, data: { any: ["thing"] } }]
]

const unreadable: ReadonlyArray<readonly [answer: string, whose: string, problem: string]> = [
  ["hello", "A service", "it is not JSON"],
  ["", "A service", "it is empty"],
  ["[]", "A service", "it is no JSON object"],
  [
    `{"id":"X","type":"${statsType}","name":"theirs","last_error":"no "x""}`,
    `A service with the id "X"`,
    "it is not JSON"
  ],
  [JSON.stringify({ id: "X" }), `A service with the id "X"`, "it has no name"],
  [JSON.stringify({ name: "theirs", id: "" }), `The service "theirs"`, "it has no id"],
  [
    JSON.stringify({ ...bare, type: "io.nats.micro.v1.ping_response" }),
    `The service "theirs" with the id "X"`,
    "its type is none of STATS"
  ],
  [JSON.stringify({ ...bare, type: 1 }), `The service "theirs" with the id "X"`, "its type is none of STATS"],
  [JSON.stringify({ ...bare, endpoints: {} }), `The service "theirs" with the id "X"`, "its endpoints are no list"],
  [
    JSON.stringify({ ...bare, endpoints: [place, null] }),
    `The service "theirs" with the id "X"`,
    "endpoints[1] is no JSON object"
  ],
  [
    `{"name":"theirs","id":"X","version":${"[".repeat(100_000)}${"]".repeat(100_000)}}`,
    `The service "theirs" with the id "X"`,
    "it is nested too deeply"
  ]
]

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })(
  "discovery among others",
  (it) => {
    for (const [what, told, read] of readable) {
      it.effect(`reads ${what}`, () =>
        Effect.gen(function*() {
          const { result, warnings } = yield* statsOf(statsWith(told))
          assert.deepStrictEqual(warnings, [])
          assert.strictEqual(result.length, 1)
          assert.deepInclude(result[0].endpoints[0], { ...place, ...read })
        }))
    }

    it.effect("reads answers without a type, of a later version, behind a byte order mark, and without what can be empty", () =>
      Effect.gen(function*() {
        const types = [undefined, null, "io.nats.micro.v2.stats_response", "io.nats.micro.v1.STATS_response"]
        for (const [index, type] of types.entries()) {
          const mark = index === 0 ? "\uFEFF" : ""
          const { result, warnings } = yield* statsOf(mark + JSON.stringify({ id: 7, name: "theirs", type }))
          assert.deepStrictEqual(warnings, [])
          assert.deepStrictEqual(result, [
            { type: statsType, name: "theirs", id: "7", version: "", metadata: {}, started: "", endpoints: [] }
          ])
        }
      }))

    it.effect("metadata of any JSON is text, under whatever name", () =>
      Effect.gen(function*() {
        const given = `{"a":1,"b":null,"c":["x"],"d":{"e":true},"__proto__":"p"}`
        const { result } = yield* statsOf(`{"name":"theirs","id":"X","metadata":${given}}`)
        assert.deepStrictEqual(Object.entries(result[0].metadata).toSorted(), [
          ["__proto__", "p"],
          ["a", "1"],
          ["b", ""],
          ["c", `["x"]`],
          ["d", `{"e":true}`]
        ])
        const whole = yield* statsOf(`{"name":"theirs","id":"X","metadata":"eu"}`)
        assert.deepStrictEqual(whole.result[0].metadata, { metadata: "eu" })
      }))

    for (const [answer, whose, problem] of unreadable) {
      it.effect(`leaves out ${JSON.stringify(answer.slice(0, 60))}, and says whose it is`, () =>
        Effect.gen(function*() {
          yield* ours("beside")
          const { result, warnings } = yield* statsOf(answer, {}, 1)
          assert.deepStrictEqual(result.map(({ name }) => name), ["beside"])
          const text = `${whose} gave an answer to $SRV.STATS that is left out: ${problem}`
          assert.deepStrictEqual(warnings.map(([text]) => text), [text])
          assert.strictEqual(warnings[0][1].subject, "$SRV.STATS")
        }).pipe(Effect.scoped, Effect.provide(client, { local: true })))
    }

    it.effect("leaves out an error, with its code and its words", () =>
      Effect.gen(function*() {
        const { result, warnings } = yield* statsOf(`{"name":"theirs","id":"X"}`, {
          "nats-service-error": "no stats\u0085now",
          "nats-service-error-code": "E_STATS"
        })
        assert.deepStrictEqual([result.length, warnings.map(([text]) => text)], [0, [
          `The service "theirs" with the id "X" gave an answer to $SRV.STATS that is left out: it is error E_STATS: no stats now`
        ]])
        assert.deepInclude(warnings[0][1], { service: "theirs", id: "X" })
      }))

    it.effect("shows of a name what can be shown", () =>
      Effect.gen(function*() {
        const name = `\u001b[2J\n\u202e"${"n".repeat(100_000)}`
        const { warnings: [[text, annotations]] } = yield* statsOf(JSON.stringify({ name }))
        assert.include(text, String.raw`The service "\u001b[2J\n\u202e\"nnn`)
        assert.isBelow(text.length, 300)
        assert.match(text + JSON.stringify(Object.values(annotations)), /^[ -~…]*$/)
      }))

    it.effect("lists ten thousand, and tells of as many that are none in eleven lines", () =>
      Effect.gen(function*() {
        const all = Array.from({ length: 10_000 }, (_, i) => i)
        const last = JSON.stringify({ ...bare, id: "last" })
        yield* NatsListener.make("$SRV.PING", (message) =>
          Effect.forEach(all, (id) =>
            message.respond(JSON.stringify({ ...bare, id: `${id}` })), { discard: true }))
        yield* NatsListener.make("$SRV.INFO", (message) =>
          Effect.andThen(
            Effect.forEach(all, () =>
              message.respond("no"), { discard: true }),
            message.respond(last)
          ))
        // Longer than the test: it ends with the last one, however long that takes.
        const slowly = { timeout: "10 minutes", stall: "10 minutes" } as const
        const { result, warnings } = yield* listening(
          Stream.runCollect(ServiceDiscovery.ping({ count: all.length, ...slowly }))
        )
        assert.deepStrictEqual(
          [result.length, new Set(result.map(({ id }) => id)).size, warnings.length],
          [10_000, 10_000, 0]
        )
        const none = yield* listening(Stream.runCollect(ServiceDiscovery.info({ count: 1, ...slowly })))
        assert.deepStrictEqual([none.result.map(({ id }) => id), none.warnings.length], [["last"], 11])
        assert.strictEqual(none.warnings[10][0], "9990 more answers to $SRV.INFO are left out")
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

    it.effect("tells of each that is left out up to ten, and of the number of the others", () =>
      Effect.gen(function*() {
        let many = 10
        yield* NatsListener.make(
          "$SRV.INFO",
          (message) => Effect.forEach(Array.from({ length: many }), () => message.respond("no"), { discard: true })
        )
        assert.lengthOf((yield* listening(found.INFO)).warnings, 10)
        many = 11
        const { warnings } = yield* listening(found.INFO)
        assert.strictEqual(warnings[10][0], "1 more answer to $SRV.INFO is left out")
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

    it.effect("counts what it gives, and not what it leaves out", () =>
      Effect.gen(function*() {
        yield* NatsListener.make("$SRV.PING", (message) =>
          Effect.forEach(["no", "{\"name\":\"a\",\"id\":\"1\"}", "{\"name\":\"a\",\"id\":\"2\"}"], (answer) =>
            message.respond(answer), { discard: true }))
        const one = yield* listening(Stream.runCollect(ServiceDiscovery.ping({ count: 1 })))
        assert.deepStrictEqual(
          one.result.map(({ id }) =>
            id
          ),
          ["1"]
        )
        const none = yield* Effect.exit(Stream.runDrain(ServiceDiscovery.ping({ count: 0 })))
        assert.isTrue(Exit.hasDies(none))
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

    it.effect("finds an instance by its id alone, and ends with it", () =>
      Effect.gen(function*() {
        const [first] = [yield* ours("first"), yield* ours("second")]
        // Longer than the test: it ends with the answer.
        const slowly = { timeout: "10 minutes", stall: "10 minutes" } as const
        const result = yield* Stream.runCollect(ServiceDiscovery.info({ id: first.id, ...slowly }))
        assert.deepStrictEqual(result.map(({ name }) => name), ["first"])
        assert.deepStrictEqual(
          yield* Stream.runCollect(ServiceDiscovery.ping({ id: "nobody", stall: "50 millis" })),
          []
        )
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

    const impossible: ReadonlyArray<readonly [options: ServiceDiscovery.Options, what: string, problem: string]> = [
      [{ name: "a.b c" }, "name", `a name has letters, digits, "-" and "_" only`],
      [{ name: "" }, "name", `a name has letters, digits, "-" and "_" only`],
      [{ name: ["a"] as never }, "name", `a name has letters, digits, "-" and "_" only`],
      [{ name: "a", id: "b c" }, "id", "it has whitespace"],
      [{ name: "a", id: "*" }, "id", "wildcards are for subscribing"],
      [{ name: "a", id: 5 as never }, "id", "it is no text"]
    ]
    for (const [options, what, problem] of impossible) {
      it.effect(`says in words that nothing has ${JSON.stringify(options)}`, () =>
        Effect.gen(function*() {
          const exit = yield* Effect.exit(Stream.runCollect(ServiceDiscovery.ping(options)))
          const error = Exit.isFailure(exit) ? exit.cause.reasons[0] : undefined
          assert(error?._tag === "Fail" && error.error._tag === "InvalidService")
          assert.deepStrictEqual([error.error.what, error.error.problem], [what, problem])
          assert.include(error.error.message, `its ${what} `)
        }).pipe(Effect.provide(client, { local: true })))
    }
  }
)
