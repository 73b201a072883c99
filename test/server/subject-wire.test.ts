/**
 * Nothing invalid reaches the wire: every name that a user can pass is made of anything, and what the client sent
 * is read back from a recording proxy with a grammar of the test's own.
 */
import { assert, it } from "@effect/vitest"
import { NatsClient, Subject, SubjectSchema } from "effect-nats"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { nastyText } from "../fixtures/nastyText.ts"

interface Command {
  readonly verb: string
  readonly names: ReadonlyArray<string>
  readonly headers: ReadonlyArray<readonly [string, string]>
}

// oxlint-disable-next-line no-control-regex
const tokenOf = /^[^\s\u0000-\u001f\u007f-\u009f.*>]+$/u

const assertName = (text: string, wildcards: boolean): void => {
  assert.isTrue(text.isWellFormed() && !text.includes("\ufffd"), text)
  for (const [index, token] of text.split(".").entries()) {
    const isWild = wildcards && (token === "*" || (token === ">" && index === text.split(".").length - 1))
    assert.isTrue(isWild || tokenOf.test(token), JSON.stringify(text))
  }
}

/** Reads whole lines and payloads, and fails at the first byte that belongs to none. */
const readCommands = (bytes: Buffer): ReadonlyArray<Command> => {
  const commands: Array<Command> = []
  let at = 0
  while (at < bytes.length) {
    const end = bytes.indexOf("\r\n", at)
    assert.isAtLeast(end, 0, "the last line is whole")
    const line = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(at, end))
    at = end + 2
    const [verb, ...words] = line.split(" ")
    if (verb === "CONNECT") {
      assert.strictEqual(typeof JSON.parse(line.slice("CONNECT ".length)), "object")
      continue
    }
    if (verb === "PING" || verb === "PONG") {
      assert.strictEqual(words.length, 0, line)
      continue
    }
    if (verb === "UNSUB") {
      assert.match(line, /^UNSUB \d+( \d+)?$/)
      continue
    }
    if (verb === "SUB") {
      assert.match(line, /^SUB \S+( \S+)? \d+$/)
      assertName(words[0], true)
      commands.push({ verb, names: words.slice(0, -1), headers: [] })
      continue
    }
    assert.include(["PUB", "HPUB"], verb, line)
    assert.match(line, verb === "PUB" ? /^PUB \S+( \S+)? \d+$/ : /^HPUB \S+( \S+)? \d+ \d+$/)
    const sizes = words.filter((_, index) => index >= words.length - (verb === "PUB" ? 1 : 2)).map(Number)
    const names = words.slice(0, words.length - sizes.length)
    for (const name of names) assertName(name, false)
    const size = sizes[sizes.length - 1]
    assert.strictEqual(bytes.toString("latin1", at + size, at + size + 2), "\r\n")
    const block = verb === "PUB" ? "" : bytes.toString("utf8", at, at + sizes[0])
    commands.push({ verb, names, headers: block === "" ? [] : readHeaders(block) })
    at += size + 2
  }
  return commands
}

const readHeaders = (block: string): ReadonlyArray<readonly [string, string]> => {
  assert.isTrue(block.startsWith("NATS/1.0\r\n") && block.endsWith("\r\n\r\n"))
  return block.slice("NATS/1.0\r\n".length, -"\r\n\r\n".length).split("\r\n").map((line) => {
    const match = /^([!-9;-~]+): ([^\r\n\0]*)$/.exec(line)
    assert.isNotNull(match, JSON.stringify(line))
    return [match[1], match[2]] as const
  })
}

const Template = Subject.template("t.{id}.x")
const Typed = SubjectSchema.make(Template, Schema.String)

it.layer(TestNatsServer.layer({}), { timeout: "60 seconds", excludeTestServices: true })("on the wire", (it) => {
  const connect = Effect.gen(function*() {
    const server = yield* TestNatsServer.TestNatsServer
    const proxy = yield* TestNatsProxy.make({ port: server.port })
    return proxy
  })

  /** What was sent while something was done with a client of the given options, after the server has taken all of it. */
  const sentDuring = <A>(
    use: (nats: NatsClient.NatsClient) => Effect.Effect<A, never, Scope.Scope>,
    options: NatsClient.Options = {}
  ) =>
    Effect.gen(function*() {
      const proxy = yield* connect
      const nats = yield* NatsClient.make({ servers: proxy.url, ...options })
      const result = yield* use(nats)
      yield* Effect.orDie(nats.flush)
      assert.notInclude((yield* proxy.sent("toClient")).toString("latin1"), "-ERR")
      assert.strictEqual((yield* nats.stats).reconnects, 0)
      return { result, commands: readCommands(yield* proxy.sent("toServer")) }
    }).pipe(Effect.scoped)

  const count = (exits: ReadonlyArray<Exit.Exit<unknown, unknown>>): number => exits.filter(Exit.isSuccess).length

  const many = Arbitrary.array(nastyText, { minLength: 20, maxLength: 60 })

  it.effect.prop(
    "any subject and reply of a publish is a whole line or InvalidSubject",
    [many],
    ([texts]) =>
      Effect.gen(function*() {
        const { commands, result } = yield* sentDuring((nats) =>
          Effect.forEach(texts, (text) =>
            Effect.all([
              Effect.exit(nats.publish(text, text.toWellFormed())),
              Effect.exit(nats.publish("fixed", "", { reply: text })),
              Effect.exit(nats.publish(text, "", { confirm: true }))
            ]))
        )
        const publishes = commands.filter(({ verb }) => verb === "PUB")
        assert.strictEqual(publishes.length, count(result.flat()))
        const allowed = new Set(texts)
        for (const { names } of publishes) {
          for (const name of names) assert.isTrue(name === "fixed" || allowed.has(name))
        }
      }),
    { arbitrary: { runs: 25 } }
  )

  it.effect.prop("any pattern and queue group of a subscription is, too", [many], ([texts]) =>
    Effect.gen(function*() {
      const { commands, result } = yield* sentDuring((nats) =>
        Effect.forEach(texts, (text) =>
          Effect.all([
            Effect.exit(nats.subscription(text)),
            Effect.exit(nats.subscription("fixed", { queue: text })),
            Effect.exit(nats.subscription(text, { queue: text }))
          ]))
      )
      assert.strictEqual(commands.filter(({ verb }) => verb === "SUB").length, count(result.flat()))
    }), { arbitrary: { runs: 25 } })

  it.effect.prop("any subject and headers of a request are, too", [many], ([texts]) =>
    Effect.gen(function*() {
      const { commands, result } = yield* sentDuring((nats) =>
        Effect.forEach(texts, (text) => Effect.flip(Effect.asVoid(nats.request(text, "", { headers: { a: text } }))), {
          concurrency: 8
        }).pipe(Effect.orDie)
      )
      // Nobody answers, so what was sent is what failed with that.
      const sent = result.filter(({ _tag }) => _tag === "NoResponders")
      assert.strictEqual(commands.filter(({ verb }) => verb === "HPUB").length, sent.length)
      for (const error of result) {
        assert.include(["NoResponders", "InvalidSubject", "InvalidHeader"], error._tag)
      }
    }), { arbitrary: { runs: 25 } })

  it.effect.prop(
    "any name and value of a header is a line of its own or InvalidHeader",
    [many, many],
    ([names, values]) =>
      Effect.gen(function*() {
        const { commands, result } = yield* sentDuring((nats) =>
          Effect.forEach(names, (name, index) => {
            const value = values[index % values.length]
            return Effect.all([
              Effect.exit(nats.publish("fixed", "", { headers: { [name]: value } })),
              Effect.exit(nats.publish("fixed", "", { headers: { fixed: [value, name] } }))
            ])
          })
        )
        const published = commands.filter(({ verb }) => verb === "HPUB" || verb === "PUB")
        assert.strictEqual(published.length, count(result.flat()))
        const allowed = new Set([...names, ...values].map((text) => text.replace(/^[ \t]+|[ \t]+$/g, "")))
        for (const { headers } of published) {
          for (const [name, value] of headers) {
            assert.isTrue(name === "fixed" || allowed.has(name), name)
            assert.isTrue(allowed.has(value), value)
          }
        }
      }),
    { arbitrary: { runs: 25 } }
  )

  it.effect.prop("any parameter of a template is one token", [many], ([texts]) =>
    Effect.gen(function*() {
      const { commands, result } = yield* sentDuring((nats) =>
        Effect.forEach(texts, (id) => Effect.exit(Typed.publish({ id }, "x"))).pipe(
          Effect.provideService(NatsClient.NatsClient, nats)
        )
      )
      const published = commands.filter(({ verb }) => verb === "HPUB")
      const good = texts.filter((_, index) => Exit.isSuccess(result[index]))
      assert.strictEqual(published.length, good.length)
      for (const [index, { names: [subject] }] of published.entries()) {
        assert.strictEqual(subject.split(".").length, 3)
        assert.deepStrictEqual(Template.parse(subject), Option.some({ id: good[index] }))
      }
    }), { arbitrary: { runs: 25 } })

  it.effect.prop(
    "any inbox prefix is refused, or stands in front of the replies",
    [nastyText],
    ([inboxPrefix]) =>
      Effect.gen(function*() {
        const exit = yield* Effect.exit(
          sentDuring((nats) => Effect.orDie(Effect.flip(nats.request("nobody"))), { inboxPrefix })
        )
        if (Exit.isFailure(exit)) {
          assert.include(Cause.pretty(exit.cause), "NatsConfigError")
          assert.isTrue(Exit.isFailure(Effect.runSyncExit(Subject.makeInboxPrefix(inboxPrefix))))
          return
        }
        assert.isTrue(Exit.isSuccess(Effect.runSyncExit(Subject.makeInboxPrefix(inboxPrefix))))
        const { commands, result } = exit.value
        assert.strictEqual(result._tag, "NoResponders")
        const [, reply] = commands.find(({ verb }) => verb === "PUB")!.names
        assert.isTrue(reply.startsWith(`${inboxPrefix}.`), reply)
      }),
    { arbitrary: { runs: 80 } }
  )
})
