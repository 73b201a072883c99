/**
 * What generated configurations are made of, for `Arbitrary.schema(NatsConfig)`.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { NatsAuth } from "../../NatsAuth.ts"
import type { NatsConfig } from "../../NatsConfig.ts"
import { NatsTls } from "../../NatsTls.ts"
import { requiresTls } from "../protocol/serverAddress.ts"
import { decodePlain, type Generated, madeFrom } from "./codec.ts"
import { decodeConfig } from "./config.ts"

/** What generated values are made of. The clashes between fields are taken out before it is decoded. */
const recipe = () => {
  const millis = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_147_483_647 }))
  // None is "null", which is what a template leaves.
  const host = Schema.String.check(
    Schema.isPattern(/^(?:[a-mo-z][a-z]{0,7}(?:\.example\.com)?|10\.\d\.\d\.\d|\[fd00::\d{1,4}\])$/)
  )
  const port = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))
  const encodable = Schema.Struct({
    servers: Schema.NonEmptyArray(Schema.Struct({ scheme: Schema.Literals(["nats", "tls", "ws", "wss"]), host, port })),
    randomizeServers: Schema.Boolean,
    discoverServers: Schema.Boolean,
    // Nothing that stands in quotes: a variable cannot say it.
    name: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9é\\/_.-][A-Za-z0-9 é"\\/_.-]{0,15}$/))),
    auth: NatsAuth,
    tls: NatsTls,
    // No optional key: of those hardly one is generated.
    headers: Schema.Union([
      Schema.Literal(false),
      Schema.NonEmptyArray(Schema.Tuple([
        Schema.Literals(["authorization", "Cookie", "x-api-key"]),
        Schema.String.check(Schema.isPattern(/^[A-Za-z0-9=][A-Za-z0-9 =;"_-]{0,15}[A-Za-z0-9]$/))
      ]))
    ]),
    connectTimeout: millis,
    requestTimeout: millis,
    pingInterval: millis,
    maxPingOut: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })),
    inboxPrefix: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9_]{1,8}(?:\.[A-Za-z0-9_]{1,8})?$/)),
    noEcho: Schema.Boolean,
    drainTimeout: millis,
    banner: Schema.Boolean,
    metrics: Schema.Boolean,
    logStatus: Schema.Boolean,
    reconnect: Schema.Union([
      Schema.Literal(false),
      Schema.Struct({
        delays: Schema.Tuple([millis, millis]),
        factor: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100 })),
        jitter: Schema.Boolean,
        maxAttempts: Schema.Union([
          Schema.Literal("forever"),
          Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1e9 }))
        ]),
        maxElapsed: Schema.optionalKey(millis),
        refusalTimeout: Schema.Union([Schema.Literal("forever"), millis]),
        onFirstConnect: Schema.Literals(["fail", "wait", "background"])
      })
    ]),
    whileDisconnected: Schema.Union([
      Schema.Literals(["wait", "fail"]),
      Schema.Struct({ buffer: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 })) })
    ])
  })
  // Secrets are redacted already.
  return Schema.toType(encodable)
}

type Recipe = ReturnType<typeof recipe>["Type"]

const fromRecipe = ({ headers, ...recipe }: Recipe): NatsConfig => {
  const [first] = recipe.servers
  const { mode } = recipe.tls
  const schemes: { readonly [scheme: string]: string } = mode !== "disable" && requiresTls(first.scheme)
    ? { nats: "tls", ws: "wss" }
    : mode === "require"
    ? { tls: "nats", ws: "nats", wss: "nats" }
    : { tls: "nats", wss: "ws" }
  const reconnect = (): unknown => {
    if (recipe.reconnect === false) return false
    const { delays: [a, b], ...rest } = recipe.reconnect
    return { ...rest, initialDelay: Math.min(a, b), maxDelay: Math.max(a, b) }
  }
  return Result.getOrThrow(decodePlain({
    ...recipe,
    ...(headers === false ? {} : { webSocket: { headers: Object.fromEntries(headers) } }),
    servers: recipe.servers.map(({ host, port, scheme }) => `${schemes[scheme] ?? scheme}://${host}:${port}`),
    reconnect: reconnect()
  }, decodeConfig))
}

export const generatedConfig: Generated = madeFrom(recipe, fromRecipe)
