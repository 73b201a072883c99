// Wrong uses stand alone here, for the compiler to refuse.
// @effect-diagnostics floatingEffect:off missingEffectError:off
/** What the compiler says of definitions of streams and consumers. Checked by `tsc`; never run. */
import type { NatsError } from "effect-nats"
import { type JetStream, JetStreamConsumer, type JetStreamError, JetStreamStream } from "effect-nats/jetstream"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import { holds, type Same } from "./assert.ts"

declare const anyString: string
declare const anySubjects: ReadonlyArray<string>

// Names are kept as literals.
const Orders = JetStreamStream.make("ORDERS", {
  subjects: ["orders.>", "returns.*"],
  maxBytes: "10 GiB",
  maxAge: "7 days"
})
holds<Same<typeof Orders, JetStreamStream.StreamDefinition<"ORDERS">>>()
const Worker = JetStreamConsumer.make(Orders, "worker", { filter: "orders.created", ackWait: Duration.seconds(5) })
holds<Same<typeof Worker, JetStreamConsumer.ConsumerDefinition<"ORDERS", "worker">>>()
holds<Same<typeof Worker, ReturnType<typeof JetStreamConsumer.make<"ORDERS", "worker">>>>()
JetStreamConsumer.make("ORDERS", "worker")
JetStreamConsumer.make("ORDERS", "worker", { filter: ["orders.a", "orders.b"] })
// A narrower definition is a wider one.
export const wider: JetStreamStream.StreamDefinition = Orders
export const widerConsumer: JetStreamConsumer.ConsumerDefinition = Worker

// Literals that are none do not compile.
// @ts-expect-error a dot in a name
JetStreamStream.make("a.b")
// @ts-expect-error it is empty
JetStreamStream.make("")
// @ts-expect-error white space in a name
JetStreamStream.make("a b", { storage: "memory" })
// @ts-expect-error a wildcard in a name
JetStreamConsumer.make("ORDERS", "wor*ker")
// @ts-expect-error a slash in a name
JetStreamConsumer.make("OR/DERS", "worker")
// @ts-expect-error it has an empty token
JetStreamStream.make("A", { subjects: ["orders..x"] })
// @ts-expect-error ">" must be the last token, though the other one is right
JetStreamStream.make("A", { subjects: ["orders.a", "orders.>.x"] })
// @ts-expect-error it ends with a dot
JetStreamConsumer.make("A", "b", { filter: "orders." })
// @ts-expect-error it has whitespace
JetStreamConsumer.make("A", "b", { filter: ["orders.a", "orders. b"] })
// @ts-expect-error it has an empty token
JetStreamConsumer.ephemeral("A", { filter: "orders..b" })

// Whatever is not a literal is checked when it is used.
JetStreamStream.make(anyString, { subjects: anySubjects })
JetStreamStream.make(anyString, { subjects: [anyString, "orders.>"] })
JetStreamConsumer.make(anyString, anyString, { filter: anyString })
JetStreamConsumer.make(anyString, anyString, { filter: anySubjects })

// Words and units.
JetStreamStream.make("A", { maxBytes: "1.5 MiB", maxMessages: "unlimited", maxMessageSize: 5n })
// @ts-expect-error no such unit
JetStreamStream.make("A", { maxBytes: "10 gigs" })
// @ts-expect-error no such word
JetStreamStream.make("A", { storage: "tape" })
// @ts-expect-error no such option
JetStreamStream.make("A", { max_age: 5 })
// @ts-expect-error no duration
JetStreamStream.make("A", { maxAge: "7 fortnights" })
// @ts-expect-error no such word
JetStreamConsumer.make("A", "b", { ackPolicy: "sometimes" })
// @ts-expect-error no number without a word
JetStreamConsumer.make("A", "b", { from: 5 })
JetStreamConsumer.make("A", "b", { from: { sequence: 5 } })
JetStreamConsumer.make("A", "b", { from: { time: new Date() } })
// @ts-expect-error push consumers are not made here
JetStreamConsumer.make("A", "b", { deliverSubject: "x" })

// What a server has can be declared.
declare const streamInfo: JetStreamStream.StreamInfo
declare const consumerInfo: JetStreamConsumer.ConsumerInfo
JetStreamStream.make("COPY", streamInfo.config)
JetStreamConsumer.make("COPY", "copy", consumerInfo.config)

// What each operation can fail with.
holds<
  Same<
    ReturnType<typeof JetStreamStream.create>,
    Effect.Effect<JetStreamStream.StreamInfo, JetStreamError.CreateStreamError, JetStream.JetStream>
  >
>()
holds<
  Same<
    ReturnType<typeof JetStreamStream.list>,
    Stream.Stream<
      JetStreamStream.StreamInfo,
      JetStreamError.ApiError | NatsError.InvalidSubject,
      JetStream.JetStream
    >
  >
>()
holds<
  Same<
    ReturnType<typeof JetStreamConsumer.ephemeral>,
    Effect.Effect<
      JetStreamConsumer.ConsumerInfo,
      JetStreamError.CreateEphemeralError,
      JetStream.JetStream | Scope.Scope
    >
  >
>()
const provision = JetStreamStream.provision([Orders, Worker], { apply: "safe" })
holds<
  Same<
    typeof provision,
    Effect.Effect<JetStreamStream.ProvisionReport, JetStreamError.ProvisionError, JetStream.JetStream>
  >
>()
// @ts-expect-error no such policy
JetStreamStream.provision([Orders], { apply: "always" })

// A layer provides that its stream is there, and nothing else does.
const OrdersLive = JetStreamStream.layer(Orders)
holds<
  Same<
    typeof OrdersLive,
    Layer.Layer<JetStreamStream.Provisioned<"ORDERS">, JetStreamError.ProvisionError, JetStream.JetStream>
  >
>()
holds<
  Same<
    Layer.Success<ReturnType<typeof JetStreamConsumer.layer<"ORDERS", "worker">>>,
    JetStreamConsumer.Provisioned<"ORDERS", "worker">
  >
>()
holds<
  Same<
    ReturnType<typeof JetStreamStream.provisioned<"ORDERS">>,
    Context.Service<JetStreamStream.Provisioned<"ORDERS">, JetStreamStream.StreamInfo>
  >
>()
const Others = JetStreamStream.make("OTHERS")
// @ts-expect-error another stream's layer is not enough
export const wrong: Layer.Layer<JetStreamStream.Provisioned<"ORDERS">, unknown, JetStream.JetStream> = JetStreamStream
  .layer(Others)
