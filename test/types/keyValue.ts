// Wrong uses stand alone here, for the compiler to refuse.
// @effect-diagnostics floatingEffect:off missingEffectError:off
/** What the compiler says of key-value buckets. Checked by `tsc`; never run. */
import type { NatsError } from "effect-nats"
import { type JetStream, type JetStreamError, KeyValue } from "effect-nats/jetstream"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { holds, type Same } from "./assert.ts"

type ErrorOf<T> = T extends Effect.Effect<unknown, infer E, unknown> ? E
  : T extends Stream.Stream<unknown, infer E, unknown> ? E
  : never
type ServicesOf<T> = T extends Effect.Effect<unknown, unknown, infer R> ? R : never

class Audit extends Context.Service<Audit, { readonly note: (text: string) => Effect.Effect<void> }>()("Audit") {}
class Full extends Schema.TaggedError<Full>()("Full", {}) {}

declare const raw: KeyValue.KeyValue
const Limits = Schema.Struct({ perMinute: Schema.Number })
declare const typed: KeyValue.TypedKeyValue<typeof Limits>

// What is read and written.
const found = raw.get("a")
holds<Same<typeof found, Effect.Effect<Option.Option<KeyValue.Entry<Uint8Array>>, JetStreamError.KeyReadError>>>()
raw.put("a", "text")
raw.put("a", new Uint8Array())
// @ts-expect-error a value of bytes is text or bytes
raw.put("a", 7)
typed.put("a", { perMinute: 1 })
// @ts-expect-error it does not fit the schema
typed.put("a", { perMinute: "1" })
// @ts-expect-error the value is not the entry
typed.modify("a", (current) => current)

// A value that does not fit can only fail where there is a schema.
holds<
  Same<Extract<ErrorOf<ReturnType<typeof typed.get>>, NatsError.MessageDecodeError>, NatsError.MessageDecodeError>
>()
holds<Same<Extract<ErrorOf<typeof found>, NatsError.MessageDecodeError>, never>>()

// What an option can fail with is in the type where the option is.
const plainPut = raw.put("a", "")
holds<Same<Extract<ErrorOf<typeof plainPut>, JetStreamError.UnsupportedByServer>, never>>()
const withTtl = raw.put("a", "", { ttl: "1 minute" })
holds<
  Same<
    Extract<ErrorOf<typeof withTtl>, { readonly _tag: "UnsupportedByServer" | "KeyTtlDisabled" }>,
    JetStreamError.UnsupportedByServer | JetStreamError.KeyTtlDisabled
  >
>()
declare const anyOptions: KeyValue.WriteOptions
const withAny = raw.put("a", "", anyOptions)
holds<
  Same<Extract<ErrorOf<typeof withAny>, JetStreamError.KeyTtlDisabled>, JetStreamError.KeyTtlDisabled>
>()
const plainDelete = raw.delete("a")
holds<Same<Extract<ErrorOf<typeof plainDelete>, JetStreamError.WrongLastSequence>, never>>()
const checkedDelete = raw.delete("a", { revision: 3 })
holds<
  Same<Extract<ErrorOf<typeof checkedDelete>, JetStreamError.WrongLastSequence>, JetStreamError.WrongLastSequence>
>()
const created = raw.create("a", "")
holds<Same<Extract<ErrorOf<typeof created>, JetStreamError.WrongLastSequence>, never>>()

// What modify's function fails with and needs.
const modified = raw.modify(
  "a",
  () => Audit.use(({ note }) => Effect.as(note("x"), "x")).pipe(Effect.andThen(new Full()))
)
holds<Same<Extract<ErrorOf<typeof modified>, Full>, Full>>()
holds<Same<ServicesOf<typeof modified>, Audit>>()

// A watch fails by its policy.
const strict = typed.watch()
holds<Same<Extract<ErrorOf<typeof strict>, NatsError.MessageDecodeError>, NatsError.MessageDecodeError>>()
const lenient = typed.watch(undefined, { onInvalid: "skip" })
holds<Same<Extract<ErrorOf<typeof lenient>, NatsError.MessageDecodeError>, never>>()
const heads = typed.watch(">", { headersOnly: true })
holds<
  Same<
    typeof heads,
    Stream.Stream<KeyValue.WatchEvent<undefined>, JetStreamError.WatchError | JetStreamError.InvalidKey>
  >
>()

// A view asks for a scope, a lock gives its work one.
const view = KeyValue.view(typed, { onInvalid: "skip" })
holds<
  Same<
    typeof view,
    Effect.Effect<
      KeyValue.View<{ readonly perMinute: number }, JetStreamError.WatchError | JetStreamError.ViewClosed>,
      JetStreamError.InvalidKey,
      Scope.Scope
    >
  >
>()
const locked = KeyValue.lock(raw, "a", {}, ({ token }) => Effect.addFinalizer(() => Effect.log(token)))
holds<Same<ServicesOf<typeof locked>, never>>()
holds<Same<Extract<ErrorOf<typeof locked>, JetStreamError.LockLost>, JetStreamError.LockLost>>()
const led = KeyValue.leader(typed, "a", {}, () => Effect.fail(new Full()))
holds<Same<Extract<ErrorOf<typeof led>, JetStreamError.LockLost>, never>>()
holds<Same<Extract<ErrorOf<typeof led>, Full>, Full>>()

const opened = KeyValue.open("b")
holds<Same<ServicesOf<typeof opened>, JetStream.JetStream>>()
// @ts-expect-error a codec of keys has two ways
KeyValue.open("b", { keys: { encode: (token: string) => token } })
