/** What callers and services of other languages say: codes, empty payloads, and codes that can be none. */
import { assert, it } from "@effect/vitest"
import { Effect, Layer, Logger, References, Schema } from "effect"
import { NatsClient, NatsError, NatsListener, SubjectSchema } from "effect-nats"
import { NatsService } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcGroup } from "effect/rpc"

const client = Layer.effect(
  NatsClient.NatsClient,
  Effect.flatMap(TestNatsServer.TestNatsServer, (server) => NatsClient.make({ servers: server.url }))
)

class Gone extends Schema.TaggedError<Gone>()("Gone", {}) {}

const callOf = (success: Schema.Top) => {
  const group = RpcGroup.make(Rpc.make("ask", { success: success as Schema.Codec<unknown>, error: Gone }))
  return Effect.flatMap(NatsService.client(group, { name: "foreign" }), (calls) => calls.ask())
}

const Definition = SubjectSchema.makeRequest("foreign.ask", {
  payload: Schema.Void,
  success: Schema.String,
  error: Gone
})

/** Somebody who answers as any library may. */
const answering = (body: string, headers: Readonly<Record<string, string | ReadonlyArray<string>>> = {}) =>
  NatsListener.make("foreign.ask", (message) => message.respond(body, { headers }))

const errorHeader = "Nats-Service-Error"
const codeHeader = "Nats-Service-Error-Code"

const told: ReadonlyArray<
  readonly [
    what: string,
    headers: Readonly<Record<string, string | ReadonlyArray<string>>>,
    code: number,
    codeText: string | undefined,
    description: string
  ]
> = [
  ["a number", { [codeHeader]: "404", [errorHeader]: "gone" }, 404, undefined, "gone"],
  ["a text", { [codeHeader]: "BAD INPUT", [errorHeader]: "gone" }, 0, "BAD INPUT", "gone"],
  ["a negative number", { [codeHeader]: "-5", [errorHeader]: "gone" }, 0, "-5", "gone"],
  ["a number and letters", { [codeHeader]: "12abc", [errorHeader]: "gone" }, 0, "12abc", "gone"],
  ["a broken number", { [codeHeader]: "4.5", [errorHeader]: "gone" }, 0, "4.5", "gone"],
  ["another writing of a number", { [codeHeader]: "007", [errorHeader]: "gone" }, 7, "007", "gone"],
  ["0", { [codeHeader]: "0", [errorHeader]: "gone" }, 0, undefined, "gone"],
  ["none", { [errorHeader]: "gone" }, 0, undefined, "gone"],
  ["an empty one", { [codeHeader]: "", [errorHeader]: "gone" }, 0, undefined, "gone"],
  ["a code alone", { [codeHeader]: "404" }, 404, undefined, ""],
  ["an empty error alone", { [errorHeader]: "" }, 0, undefined, ""],
  ["several", { [codeHeader]: ["404", "500"], [errorHeader]: ["gone", "away"] }, 404, undefined, "gone"],
  ["names in lower case", { "nats-service-error-code": "404", "nats-service-error": "gone" }, 404, undefined, "gone"]
]

/** What is wrong with a reply, or the value that it is. */
const readAs = (success: Schema.Top) =>
  Effect.match(callOf(success), {
    onSuccess: (value) => ({ value }),
    onFailure: (error) => "problem" in error ? error.problem : error._tag
  })

it.layer(TestNatsServer.layer(), { timeout: "30 seconds", excludeTestServices: true })("another language", (it) => {
  for (const [what, headers, code, codeText, description] of told) {
    it.effect(`tells an error's code: ${what}`, () =>
      Effect.gen(function*() {
        yield* answering("{\"any\":1}", headers)
        for (const call of [callOf(Schema.String), Definition.request()]) {
          const error = yield* Effect.flip(call)
          assert(error._tag === "ServiceError")
          assert.deepStrictEqual([error.code, error.codeText, error.description], [code, codeText, description])
          assert.strictEqual(error.body, "{\"any\":1}")
          for (const [name, value] of Object.entries(headers)) {
            assert.deepStrictEqual(error.headers[name], typeof value === "string" ? [value] : value)
          }
        }
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))
  }

  it("an error is told with what the service told of it, and no more", () => {
    const words = (fields: { code: number; codeText?: string; description: string }): string =>
      new NatsError.ServiceError({ subject: "a", ...fields }).message.replace(/:[^:]*$/, "")
    const service = "The service on \"a\" answered with"
    assert.strictEqual(words({ code: 404, description: "gone" }), `${service} error 404 ("gone")`)
    assert.strictEqual(words({ code: 7, codeText: "007", description: "" }), `${service} error 007`)
    assert.strictEqual(words({ code: 0, codeText: "BAD", description: "gone" }), `${service} error BAD ("gone")`)
    assert.strictEqual(words({ code: 0, description: "gone" }), `${service} an error without a code ("gone")`)
    assert.strictEqual(words({ code: 0, description: "" }), `${service} an error without a code`)
  })

  const empty: ReadonlyArray<readonly [what: string, success: Schema.Top, read: unknown]> = [
    ["Void", Schema.Void, { value: undefined }],
    ["UndefinedOr", Schema.UndefinedOr(Schema.String), { value: undefined }],
    ["NullOr", Schema.NullOr(Schema.Struct({ a: Schema.Int })), { value: null }],
    ["String", Schema.String, "it is empty"],
    ["Struct", Schema.Struct({ a: Schema.optionalKey(Schema.Int) }), "it is empty"]
  ]
  for (const [what, success, expected] of empty) {
    it.effect(`answers with nothing: a result of ${what}`, () =>
      Effect.gen(function*() {
        for (const body of ["", " \n"]) {
          yield* Effect.scoped(Effect.gen(function*() {
            yield* answering(body)
            assert.deepStrictEqual(yield* readAs(success), expected)
          }))
        }
        yield* answering("no")
        assert.deepStrictEqual(yield* readAs(success), what === "Void" ? { value: undefined } : "it is not JSON")
      }).pipe(Effect.scoped, Effect.provide(client, { local: true })))
  }

  it.effect("asks with nothing", () =>
    Effect.gen(function*() {
      const Asked = RpcGroup.make(
        Rpc.make("maybe", { payload: Schema.UndefinedOr(Schema.Int), success: Schema.String }),
        Rpc.make("must", { payload: { a: Schema.optionalKey(Schema.Int) } })
      )
      yield* NatsService.make(Asked, { name: "asked", version: "1.0.0" }).pipe(
        Effect.provide(Asked.toLayer({ maybe: (n) => Effect.succeed(`${n}`), must: () => Effect.void }))
      )
      const nats = yield* NatsClient.NatsClient
      assert.strictEqual((yield* nats.request("asked.maybe")).text, "\"undefined\"")
      const must = yield* nats.request("asked.must")
      assert.deepStrictEqual([must.header(codeHeader), must.header(errorHeader)], [
        "400",
        "the payload does not fit: it is empty"
      ])
    }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

  it.effect("is told no code that is none, and the log of a service has it", () =>
    Effect.gen(function*() {
      const codes = [NaN, 4.5, -1, 0, Infinity, 1e21, 1_000_000_000, "404", { code: 404 }]
      const warnings: Array<string> = []
      const logger = Logger.make(({ fiber, logLevel, message }) => {
        const { endpoint } = fiber.getRef(References.CurrentLogAnnotations)
        if (logLevel === "Warn") warnings.push(`${String(endpoint)}: ${String(message)}`)
      })
      const nats = yield* NatsClient.NatsClient
      for (const [i, code] of codes.entries()) {
        const natsServiceErrorCode = code as number
        const Failing = RpcGroup.make(
          Rpc.make("fail", { error: Schema.String.annotate({ natsServiceErrorCode }) })
            .annotate(NatsService.Endpoint, { name: `fail${i}`, subject: `fail${i}` })
        )
        yield* NatsService.make(Failing, { name: "odd", version: "1.0.0" }).pipe(
          Effect.provide([Failing.toLayer({ fail: () => Effect.fail("no") }), Logger.layer([logger])])
        )
        class Odd extends Schema.TaggedError<Odd>()("Odd", {}, { natsServiceErrorCode, httpApiStatus: 410 }) {}
        class Own extends Schema.TaggedError<Own>()("Own", {}, { natsServiceErrorCode }) {}
        yield* NatsListener.make(`odd.http${i}`, NatsListener.replying(() => Effect.fail(new Odd())))
        yield* NatsListener.make(`odd.own${i}`, NatsListener.replying(() => Effect.fail(new Own())))
        const asked = yield* Effect.forEach(
          ["fail", "http", "own"],
          (kind) => Effect.map(nats.request(`odd.${kind}${i}`), (reply) => reply.header(codeHeader))
        )
        assert.deepStrictEqual(asked, ["422", "410", "422"], String(code))
      }
      const Several = RpcGroup.make(
        Rpc.make("fail", {
          error: Schema.Union([
            Schema.String.annotate({ natsServiceErrorCode: 404 }),
            Schema.Union([Schema.Int.annotate({ natsServiceErrorCode: NaN }), Schema.Boolean])
          ])
        })
      )
      yield* NatsService.make(Several, { name: "several", version: "1.0.0" }).pipe(
        Effect.provide([Several.toLayer({ fail: () => Effect.fail(1) }), Logger.layer([logger])])
      )
      assert.match(String(warnings.pop()), /^fail: Failures are answered without the code NaN: /)
      assert.strictEqual((yield* nats.request("several.fail")).header(codeHeader), "422")
      const shown = ["NaN", "4.5", "-1", "0", "Infinity", "1e+21", "1000000000", "\"404\"", "of type object"]
      assert.deepStrictEqual(
        warnings,
        shown.map((code, i) =>
          `fail${i}: Failures are answered without the code ${code}: a code is a whole number from 1 to 999999999`
        )
      )
    }).pipe(Effect.scoped, Effect.provide(client, { local: true })))

  it.effect("has its code passed on as it told it", () =>
    Effect.gen(function*() {
      const nats = yield* NatsClient.NatsClient
      const codes = [["BAD_INPUT", "BAD_INPUT"], ["-5", "-5"], ["404", "404"], ["007", "007"], ["", "422"]] as const
      for (const [code, expected] of codes) {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* answering("", { [errorHeader]: "gone", [codeHeader]: code })
          yield* NatsListener.make("pass.on", NatsListener.replying(() => Effect.asVoid(callOf(Schema.String))))
          const reply = yield* nats.request("pass.on")
          assert.deepStrictEqual([reply.header(codeHeader), reply.header(errorHeader)], [expected, "gone"])
        }))
      }
      const made = new NatsError.ServiceError({ subject: "a", code: NaN, description: "made" })
      yield* NatsListener.make("made", NatsListener.replying(() => Effect.fail(made)))
      assert.strictEqual((yield* nats.request("made")).header(codeHeader), "422")
    }).pipe(Effect.scoped, Effect.provide(client, { local: true })))
})
