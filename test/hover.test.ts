/** What an editor says of an option to whoever writes it, and of a field to whoever reads a decoded config. */
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import * as NatsConfig from "../src/NatsConfig.ts"
import { hovering } from "./fixtures/hovering.ts"

// Everything that is optional is given, so that the decoded config has a field for every option.
const everything = NatsConfig.decode({
  name: "orders",
  tls: {
    caFile: "ca.pem",
    certFile: "cert.pem",
    keyFile: "key.pem",
    passphrase: "secret",
    serverName: "nats.example.com"
  },
  webSocket: { headers: { cookie: "a=b" } },
  reconnect: { maxElapsed: "1 minute" }
})
const inPlaceOfFiles = ["ca", "cert", "key"]

const durations = new Set([
  "connectTimeout",
  "requestTimeout",
  "pingInterval",
  "drainTimeout",
  "initialDelay",
  "maxDelay",
  "maxElapsed",
  "refusalTimeout"
])

it.live(
  "hovering an option says what it is, its default, and of a duration its unit and bound",
  () =>
    Effect.gen(function*() {
      const { reconnect, tls, ...config } = yield* everything
      const keys = {
        config: Object.keys(config),
        tls: [...Object.keys(tls), ...inPlaceOfFiles],
        reconnect: Object.keys(reconnect)
      }
      const lines = [
        "import type { NatsClient } from \"../src/NatsClient.ts\"",
        "import { layer } from \"../src/NatsClient.ts\"",
        "import type { NatsConfig, Reconnect } from \"../src/NatsConfig.ts\"",
        "declare const config: NatsConfig",
        "declare const reconnect: Reconnect",
        "const { tls } = config",
        "layer({",
        ...keys.config.map((key) => `${key}: undefined,`),
        "tls: {",
        ...keys.tls.map((key) => `${key}: undefined,`),
        "}, reconnect: {",
        ...keys.reconnect.map((key) => `${key}: undefined,`),
        "}})",
        ...Object.entries(keys).flatMap(([of, keys]) => keys.map((key) => `${of}.${key}`))
      ]
      const places = lines.flatMap((text, line) => {
        const [, prefix, key] = /^(\w+\.|)(\w+)(?:: undefined,)?$/.exec(text) ?? []
        return key === undefined ? [] : [{ text, line, character: prefix.length, key }]
      })
      assert.strictEqual(places.length, 2 * Object.values(keys).flat().length)
      assert.isAtLeast(places.length, 60)
      const hover = yield* hovering(lines.join("\n"))
      const bad: Array<string> = []
      for (const { character, key, line, text } of places) {
        const shown = (yield* hover(line, character)).replaceAll("\n", " ")
        if (!/\bDefault\b/.test(shown)) bad.push(`${text}: no default in "${shown}"`)
        if (durations.has(key) && !/A number is milliseconds; .*at most 24 days/.test(shown)) {
          bad.push(`${text}: no unit or bound in "${shown}"`)
        }
      }
      assert.deepStrictEqual(bad, [])
    }),
  60_000
)
