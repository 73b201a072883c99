/** Servers as people have them in variables, templates and the lists of others. */
import { assert, describe, it } from "@effect/vitest"
import { NatsConfig } from "effect-nats"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"

const problemsOf = (servers: unknown): ReadonlyArray<readonly [string, string]> => {
  const decoded = NatsConfig.decodeResult({ servers })
  return Result.isFailure(decoded) ? decoded.failure.problems.map(({ path, problem }) => [path, problem] as const) : []
}

describe("the servers of a configuration", () => {
  const elements: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["nats://a:4222,nats://b:4222", ["a", "b"]],
    ["a, b,\n c\n", ["a", "b", "c"]],
    ["nats://u:p@a,nats://u:p@b", ["a", "b"]],
    ["nats://u:12,34@a", ["a"]]
  ]
  for (const [text, hosts] of elements) {
    it.effect(`may be ${JSON.stringify(text)} in an element of an array`, () =>
      Effect.gen(function*() {
        const { servers } = yield* NatsConfig.decode({ servers: [text, Redacted.make("nats://other")] })
        assert.deepStrictEqual(servers.map(({ host }) => host), [...hosts, "other"])
      }))
  }

  it.effect("may stand on several lines, with a comma behind each but the last", () =>
    Effect.gen(function*() {
      const { servers } = yield* NatsConfig.decode({ servers: "nats://a:4222,\nnats://b:4222\n" })
      assert.deepStrictEqual(servers.map(({ host }) => host), ["a", "b"])
    }))

  const faults: ReadonlyArray<readonly [string, unknown, ReadonlyArray<readonly [string, RegExp]>]> = [
    ["an empty place", "a,,b", [["servers[1]", /must not be empty: a comma is too many/]]],
    ["lines without a comma", "a\nb", [["servers", /a line break .*: write a comma/]]],
    ["a JSON array as text", "[\"nats://a\",\"nats://b\"]", [["servers", /list in brackets .*commas/]]],
    ["brackets in an array", ["['nats://a']", "[nats://a]"], [
      ["servers[0]", /list in brackets/],
      ["servers[1]", /list in brackets/]
    ]],
    ["a wrong one among several in one element", ["a,b:0"], [["servers[0][1]", /a port/]]],
    [
      "one of another's making, whose host is more than that",
      [{ scheme: "nats", host: "u:p@a", port: 4222, path: "" }],
      [
        ["servers[0]", /^is no server address$/]
      ]
    ],
    ["quotes around all of them", "\"nats://a,nats://b\"", [["servers", /stands in quotes.*remove them/]]],
    ["more than a thousand in two elements", ["a,".repeat(600) + "a", "a,".repeat(600) + "a"], [
      ["servers", /at most 1000/]
    ]]
  ]
  for (const [name, servers, expected] of faults) {
    it(`are refused with ${name}`, () => {
      const problems = problemsOf(servers)
      assert.deepStrictEqual(problems.map(([path]) => path), expected.map(([path]) => path))
      for (const [index, [, pattern]] of expected.entries()) {
        assert.match(problems[index][1], pattern)
      }
    })
  }
})
