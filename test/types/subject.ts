// Wrong uses stand alone here, for the compiler to refuse.
// @effect-diagnostics floatingEffect:off missingEffectError:off
/** What the compiler says of subjects. Checked by `tsc`; never run. */
import { type NatsClient, type NatsError, type NatsHeaders, Subject } from "effect-nats"
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import { holds, type Same } from "./assert.ts"

declare const anyString: string

// Literals that are subjects keep their type and are subjects.
const created = Subject.literal("orders.created")
holds<Same<typeof created, "orders.created" & Subject.Subject>>()
Subject.literal("a")
Subject.literal("$JS.API.INFO")
Subject.literal("ü.日本")

// Literals that are none do not compile.
// @ts-expect-error it is empty
Subject.literal("")
// @ts-expect-error it starts with a dot
Subject.literal(".a")
// @ts-expect-error it ends with a dot
Subject.literal("a.")
// @ts-expect-error it has an empty token
Subject.literal("a..b")
// @ts-expect-error it has whitespace
Subject.literal("a b")
// @ts-expect-error it has whitespace
Subject.literal("a.b\r\nPUB x 0")
// @ts-expect-error it has whitespace
Subject.literal("a.\u00a0")
// @ts-expect-error it has a control character
Subject.literal("a.\0")
// @ts-expect-error wildcards are for subscribing
Subject.literal("a.*")
// @ts-expect-error wildcards are for subscribing
Subject.literal("a.>")
// @ts-expect-error not a literal
Subject.literal(anyString)

Subject.literalPattern("a.*.c")
Subject.literalPattern(">")
Subject.literalPattern("a.>")
// @ts-expect-error ">" must be the last token
Subject.literalPattern("a.>.b")
// @ts-expect-error ">" must be the last token
Subject.literalPattern(">.b")
// @ts-expect-error a wildcard must be a token of its own
Subject.literalPattern("a.b*")
// @ts-expect-error it has an empty token
Subject.literalPattern("*..*")
// @ts-expect-error it has whitespace
Subject.literalPattern("*. ")

// Templates know their parameters.
const order = Subject.template("orders.{id}.items.{item}")
holds<Same<Parameters<typeof order.build>[0], { readonly id: string; readonly item: string }>>()
holds<Same<ReturnType<typeof order.build>, Effect.Effect<Subject.Subject, NatsError.InvalidSubject>>>()
holds<Same<ReturnType<typeof order.parse>, Option.Option<{ readonly id: string; readonly item: string }>>>()
order.build({ id: "1", item: "2" })
order.patternFor({ id: "1" })
// @ts-expect-error a parameter is missing
order.build({ id: "1" })
// @ts-expect-error a parameter too many
order.build({ id: "1", item: "2", extra: "3" })
// @ts-expect-error no number
order.build({ id: 1, item: "2" })
Subject.template("orders.created").build({})
const dynamic: Subject.Template = order
holds<Same<ReturnType<typeof dynamic.parse>, Option.Option<Readonly<Record<string, string>>>>>()

// Bad templates do not compile.
// @ts-expect-error a parameter has a name
Subject.template("orders.{}")
// @ts-expect-error a parameter must be a token of its own
Subject.template("orders.x{id}")
// @ts-expect-error a parameter must be a token of its own
Subject.template("orders.{id}{item}")
// @ts-expect-error a parameter must be a token of its own
Subject.template("orders.{id")
// @ts-expect-error a parameter's name starts with a letter
Subject.template("orders.{1}")
// @ts-expect-error a parameter is named twice
Subject.template("orders.{id}.{id}")
// @ts-expect-error wildcards are for subscribing
Subject.template("orders.{id}.*")
// @ts-expect-error it has an empty token
Subject.template("orders..{id}")
// @ts-expect-error not a literal
Subject.template(anyString)

// Names are told apart, and a narrower one is a wider one.
declare const prefix: Subject.InboxPrefix
declare const pattern: Subject.SubjectPattern
declare const queue: Subject.QueueGroup
export const subject: Subject.Subject = prefix
export const wider: Subject.SubjectPattern = subject
// @ts-expect-error a pattern may have wildcards
export const narrower: Subject.Subject = pattern
// @ts-expect-error a string was not checked
export const unchecked: Subject.Subject = anyString
// @ts-expect-error a queue group is no subject
export const other: Subject.Subject = queue
holds<Same<typeof Subject.Subject.Type, Subject.Subject>>()
holds<Same<typeof Subject.SubjectPattern.Type, Subject.SubjectPattern>>()
holds<Same<typeof Subject.InboxPrefix.Type, Subject.InboxPrefix>>()
holds<Same<typeof Subject.QueueGroup.Type, Subject.QueueGroup>>()
holds<Same<typeof NatsHeaders.Name.Type, NatsHeaders.Name>>()
holds<Same<typeof NatsHeaders.Value.Type, NatsHeaders.Value>>()

// All of them are strings for the client.
export const published = (nats: NatsClient.NatsClient): Effect.Effect<void, NatsError.PublishError> =>
  nats.publish(created)

// A function of one's own can have the check.
const send = <const S extends string>(_subject: Subject.Checked<S>): void => {}
send("a.b")
send(anyString)
// @ts-expect-error it has an empty token
send("a..b")
