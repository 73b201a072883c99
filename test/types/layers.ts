/** What each layer needs and can fail with, and what catching one error leaves. */
// @effect-diagnostics unnecessaryTypeofType:off
import { Config, Context, Effect, type Layer, type Redacted, Schema, type Stream } from "effect"
import {
  type ConnectError,
  type NatsAuth,
  NatsClient,
  NatsConfig,
  type NatsError,
  NatsLayer,
  NatsListener,
  SubjectSchema
} from "effect-nats"
import * as NatsHealthHttp from "effect-nats/NatsHealthHttp"
import { type TestAuthCallout, type TestCertificates, TestNatsServer, type TestOperator } from "effect-nats/testing"
import type { HttpRouter, HttpServer } from "effect/http"
import { holds, type Same } from "./assert.ts"

type CannotConnect = ConnectError.ConnectError | NatsConfig.NatsConfigError
type Client = Layer.Layer<NatsClient.NatsClient, CannotConnect>

declare const config: NatsConfig.NatsConfig

const fromOptions = NatsClient.layer({ servers: "nats://127.0.0.1:4222", auth: { user: "john", password: "x" } })
holds<Same<typeof fromOptions, Client>>()
const byDefault = NatsClient.layer()
holds<Same<typeof byDefault, Client>>()
// It is decoded already.
const fromConfig = NatsLayer.fromConfig(config)
holds<Same<typeof fromConfig, Layer.Layer<NatsClient.NatsClient, ConnectError.ConnectError>>>()
const fromUnknown = NatsLayer.fromUnknown(JSON.parse("{}"))
holds<Same<typeof fromUnknown, Client>>()
const fromEnv = NatsLayer.fromEnv({ prefix: "ORDERS_NATS" })
holds<Same<typeof fromEnv, Client>>()
const fromFile = NatsLayer.fromFile("nats.json")
holds<Same<typeof fromFile, Client>>()
const fromConfigs = NatsClient.layerConfig({
  servers: Config.String("BROKER"),
  auth: Config.all({ user: Config.String("BROKER_USER"), password: Config.Redacted("BROKER_PASSWORD") }),
  tls: { caFile: Config.String("BROKER_CA") }
})
holds<Same<typeof fromConfigs, Layer.Layer<NatsClient.NatsClient, CannotConnect | Config.ConfigError>>>()

// A decoded config is an option set too.
NatsClient.layer(config)

// What the Effect of `auth` needs, the layer needs. Its failure is a `CredentialsUnavailable`.
class Vault extends Context.Service<Vault, { readonly token: Effect.Effect<Redacted.Redacted, "sealed"> }>()("Vault") {}
const rotating = NatsClient.layer({
  auth: Effect.map(Vault.use((vault) => vault.token), (token): NatsAuth.Input => ({ token }))
})
holds<Same<typeof rotating, Layer.Layer<NatsClient.NatsClient, CannotConnect, Vault>>>()

const made = NatsClient.make()
holds<Same<Effect.Error<typeof made>, CannotConnect>>()
holds<Same<Effect.Success<typeof made>, NatsClient.NatsClient>>()

const decoding = NatsConfig.decode({})
holds<Same<typeof decoding, Effect.Effect<NatsConfig.NatsConfig, NatsConfig.NatsConfigError>>>()

// The errors of a layer are those of the program that it is provided to, and `catchTag` takes out exactly one.
const program = Effect.provide(Effect.void, fromOptions)
holds<Same<Effect.Error<typeof program>, CannotConnect>>()
const caught = Effect.catchTag(program, "AuthorizationViolation", (error) => {
  holds<Same<typeof error, ConnectError.AuthorizationViolation>>()
  holds<Same<typeof error.method, ConnectError.AuthMethod>>()
  return Effect.void
})
holds<Same<Effect.Error<typeof caught>, Exclude<CannotConnect, ConnectError.AuthorizationViolation>>>()
const caughtTwo = Effect.catchTag(program, ["ConnectionRefused", "ServerNotFound"], () => Effect.void)
holds<
  Same<
    Effect.Error<typeof caughtTwo>,
    Exclude<CannotConnect, ConnectError.ConnectionRefused | ConnectError.ServerNotFound>
  >
>()
// @ts-expect-error: no such error
Effect.catchTag(program, "AuthorizationViolated", () => Effect.void)
// @ts-expect-error: an operation's error is none of a connection
Effect.catchTag(program, "NoResponders", () => Effect.void)

// The schema of the errors is the union, and all of them say whether trying again can help.
holds<Same<typeof ConnectError.ConnectError.Type, ConnectError.ConnectError>>()
holds<Same<ConnectError.ConnectError["isRetryable"], boolean>>()

const server = TestNatsServer.layer({ token: "s3cr3t" })
holds<Same<typeof server, Layer.Layer<TestNatsServer.TestNatsServer, TestNatsServer.TestNatsServerError>>>()
const both = TestNatsServer.layerClient({ token: "s3cr3t" }, { auth: { token: "s3cr3t" } })
holds<
  Same<
    typeof both,
    Layer.Layer<
      NatsClient.NatsClient | TestNatsServer.TestNatsServer,
      CannotConnect | TestNatsServer.TestNatsServerError
    >
  >
>()

// What needs a package of its own fails without it, and says so where it is first used, not again.
type Missing = TestNatsServer.PackageMissing
holds<Same<Extract<TestNatsServer.TestNatsServerError, { readonly _tag: "PackageMissing" }>, Missing>>()
holds<Same<Effect.Error<ReturnType<typeof TestOperator.nkey>>, Missing>>()
holds<Same<Effect.Error<ReturnType<typeof TestOperator.make>>, Missing>>()
holds<Same<Effect.Error<ReturnType<TestOperator.TestOperator["account"]>>, never>>()
holds<Same<Effect.Error<ReturnType<TestOperator.TestAccount["user"]>>, never>>()
holds<Same<Effect.Error<ReturnType<typeof TestAuthCallout.make>>, Missing>>()
holds<Same<Effect.Error<ReturnType<TestAuthCallout.TestAuthCallout["answer"]>>, never>>()
holds<Same<Effect.Error<ReturnType<typeof TestCertificates.authority>>, Missing>>()
holds<Same<Effect.Error<ReturnType<typeof TestCertificates.selfSigned>>, Missing>>()
holds<Same<Effect.Error<ReturnType<TestCertificates.Authority["issue"]>>, never>>()

// A named client is a service of its own, and what runs on it asks for it in place of the other.
class Billing extends NatsLayer.Named<Billing>()("Billing") {}
const named = Billing.layerFrom(NatsLayer.fromEnv())
holds<Same<typeof named, Layer.Layer<Billing, CannotConnect>>>()
const namedRotating = Billing.layerFrom(rotating)
holds<Same<typeof namedRotating, Layer.Layer<Billing, CannotConnect, Vault>>>()
const effectOn = Billing.on(Effect.flatMap(NatsClient.NatsClient, (nats) => Effect.andThen(Vault, nats.flush)))
holds<Same<Effect.Services<typeof effectOn>, Billing | Vault>>()
const layerOn = Billing.on(NatsListener.layer("a", () => Effect.void))
holds<Same<typeof layerOn, Layer.Layer<never, NatsError.HandleError, Billing>>>()
const streamOn = Billing.on(SubjectSchema.make("a", Schema.String).subscribe())
holds<Same<Stream.Services<typeof streamOn>, Billing>>()
const given = Effect.map(Billing, (billing) => billing.publish)
holds<Same<Effect.Success<typeof given>, NatsClient.NatsClient["publish"]>>()
// @ts-expect-error: only a layer of a client is one
Billing.layerFrom(NatsListener.layer("a", () => Effect.void))

// Probes ask for the router and the clients that they name.
const probes = NatsHealthHttp.layer()
holds<Same<typeof probes, Layer.Layer<never, never, HttpRouter.HttpRouter>>>()
const probesOf = NatsHealthHttp.layerServer({ clients: [Billing, NatsClient.NatsClient] })
holds<Same<typeof probesOf, Layer.Layer<never, never, HttpServer.HttpServer | Billing | NatsClient.NatsClient>>>()
