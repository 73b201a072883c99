/** What must not compile. */
// @effect-diagnostics floatingEffect:off missingEffectContext:off effectMapVoid:off
import { Effect, Redacted, type Stream } from "effect"
import {
  type ConnectError,
  type NatsAuth,
  NatsClient,
  type NatsConfig,
  NatsLayer,
  type NatsStatus,
  type NatsTls
} from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"

declare const nats: NatsClient.NatsClient

// Payloads are text or bytes. Whoever sends something else says how it becomes one of these.
// @ts-expect-error: a number
nats.publish("a", 1)
// @ts-expect-error: an object
nats.publish("a", { id: 1 })
// @ts-expect-error: bytes that are not a Uint8Array
nats.request("a", [1, 2, 3])
// @ts-expect-error: the subject is not optional
nats.publish()

// Options that do not exist.
// @ts-expect-error: it is `headers`
nats.publish("a", "b", { header: { a: "b" } })
// @ts-expect-error: a header's value is text
nats.publish("a", "b", { headers: { a: 1 } })
// @ts-expect-error: it is `timeout`
nats.request("a", "b", { timeoutMillis: 1 })
// @ts-expect-error: a reply subject is not for requests
nats.request("a", "b", { reply: "c" })
// @ts-expect-error: not a duration
nats.request("a", "b", { timeout: "soon" })
// @ts-expect-error: not a policy
nats.subscribe("a", { overflow: "drop" })
// @ts-expect-error: it is `queue`
nats.subscription("a", { group: "q" })
// @ts-expect-error: it is `servers`
NatsClient.layer({ server: "nats://127.0.0.1:4222" })
// @ts-expect-error: it is `connectTimeout`
NatsClient.layer({ timeout: "1 second" })
// @ts-expect-error: not a mode
NatsClient.layer({ tls: { mode: "on" } })
// @ts-expect-error: verification is not turned off under this name
NatsClient.layer({ tls: { rejectUnauthorized: false } })
// @ts-expect-error: `true` says nothing that `{}` does not
NatsClient.layer({ reconnect: true })
// @ts-expect-error: not a policy
NatsClient.layer({ whileDisconnected: "drop" })
// @ts-expect-error: it is `prefix`
NatsLayer.fromEnv({ name: "NATS" })
// @ts-expect-error: it is `users`
TestNatsServer.make({ user: "john" })

// One method at a time, whole.
// @ts-expect-error: a user without a password
NatsClient.layer({ auth: { user: "john" } })
// @ts-expect-error: a tag without its secret
NatsClient.layer({ auth: { _tag: "NKey" } })
// @ts-expect-error: not a method
NatsClient.layer({ auth: { _tag: "Password", password: "x" } })
// @ts-expect-error: the Effect yields a form of `auth`, not a bare secret
NatsClient.layer({ auth: Effect.succeed("s3cr3t") })

// A decoded value has its secrets redacted.
// @ts-expect-error: a plain password
const user: NatsAuth.UserPassword = { _tag: "UserPassword", user: "john", password: "johnpassword" }
// @ts-expect-error: a plain seed
const key: NatsAuth.NatsAuth = { _tag: "NKey", seed: "SU" }
// @ts-expect-error: a plain key
const tls: Pick<NatsTls.NatsTls, "key"> = { key: "PEM" }
// @ts-expect-error: what was not decoded is not a config
NatsLayer.fromConfig({ servers: "nats://127.0.0.1:4222" })
declare const config: NatsConfig.NatsConfig
// @ts-expect-error: a redacted secret is not text
const leak: string = config.auth._tag === "Token" ? config.auth.token : ""
const token: NatsAuth.Token = { _tag: "Token", token: Redacted.make("s3cr3t") }

// Everything is read-only.
// @ts-expect-error: a config does not change
config.name = "other"

// A stream or a scoped subscription is not a value to wait for.
// @ts-expect-error: `subscribe` gives a stream
Effect.map(nats.subscribe("a"), () => {})
// @ts-expect-error: a subscription needs a scope
const unscoped: Effect.Effect<unknown, unknown> = nats.subscription("a")
// @ts-expect-error: a subscription is not its stream
const stream: Stream.Stream<unknown> = nats.subscription("a")

// Every case is known: leaving one out does not compile.
export const describe = (event: NatsStatus.StatusEvent): string => {
  switch (event._tag) {
    case "Connecting":
    case "Draining":
      return event._tag
    case "Connected":
      return `${event.server} ${event.session}`
    case "Disconnected":
    case "Reconnecting":
      return event.reason.message
    case "Closed":
      return event.reason?._tag ?? "on purpose"
    case "LameDuck":
      return event.server
    case "PermissionDenied":
      return event.error.subject
    case "Overflow":
      return event.policy
    case "ServerComplaint":
      return event.text
    case "Undelivered":
      return String(event.messages)
  }
}

// @ts-expect-error: cases are missing, so that it may return undefined
export const isRefusal = (error: ConnectError.ConnectError): boolean => {
  switch (error._tag) {
    case "AuthorizationViolation":
      return true
  }
}

export { key, leak, stream, tls, token, unscoped, user }
