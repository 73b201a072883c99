/**
 * Auth callout for tests: decides, in the test, who may connect to a server.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { NatsClient } from "effect-nats"
 * import { TestAuthCallout, TestNatsServer } from "effect-nats/testing"
 *
 * const program = Effect.gen(function*() {
 *   const callout = yield* TestAuthCallout.make()
 *   const server = yield* TestNatsServer.make({
 *     users: [{ user: "auth", password: "secret" }],
 *     authCallout: callout.setup({ users: ["auth"] })
 *   })
 *   const client = yield* NatsClient.make({ servers: server.url, auth: { user: "auth", password: "secret" } })
 *   yield* callout.serve(client, (request) =>
 *     request.connect_opts.user === "john" ? { allow: { name: "john" } } : { deny: "only john" })
 * }).pipe(Effect.scoped)
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { serverXkeyHeader } from "../internal/protocol/headerNames.ts"
import type * as NatsClient from "../NatsClient.ts"
import type { SubscribeError } from "../NatsError.ts"
import { encodeText, loadJwtLibrary, newKey, userJwt } from "./internal/mint.ts"
import type { PackageMissing } from "./TestNatsServerError.ts"
import type { AuthCallout } from "./TestNatsServerOptions.ts"
import type { NKey, UserOptions } from "./TestOperator.ts"

/**
 * What the service decides on one connection: `allow` it as a user of an account (default `$G`, the global one), `deny` it
 * with a reason that only the server's log shows, or say nothing (`silence`), so that the server's auth timeout decides.
 *
 * @category models
 * @since 0.1.0
 */
export type Decision =
  | { readonly allow: UserOptions & { readonly name: string; readonly account?: string | undefined } }
  | { readonly deny: string }
  | { readonly silence: true }

/**
 * Keys of a callout service, and its answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface TestAuthCallout {
  /** The key that signs the answers. */
  readonly issuer: NKey
  /** The key that requests are encrypted for, if they are. */
  readonly xkey: NKey | undefined
  /** The `authCallout` option of a test server that asks this service. */
  readonly setup: (
    options: { readonly users: ReadonlyArray<string>; readonly account?: string | undefined }
  ) => AuthCallout
  /**
   * The answer to the payload of one request: what to publish to its reply subject, or `undefined` for `silence`. Encrypted
   * requests come with the server's key in the header `Nats-Server-Xkey`.
   */
  readonly answer: (
    request: Uint8Array,
    decide: (request: AuthorizationRequest) => Decision,
    serverXkey?: string
  ) => Effect.Effect<Uint8Array | undefined>
  /** Answers requests with a client until the scope closes. Succeeds when the server will ask it. */
  readonly serve: (
    client: NatsClient.NatsClient,
    decide: (request: AuthorizationRequest) => Decision
  ) => Effect.Effect<void, SubscribeError, Scope.Scope>
}

/**
 * What the server tells of a connection and asks about it, in its own words. It leaves out what does not apply.
 *
 * @category models
 * @since 0.2.0
 */
export interface AuthorizationRequest {
  readonly server_id: {
    readonly name: string
    readonly host: string
    readonly id: string
    readonly version?: string | undefined
    readonly cluster?: string | undefined
    readonly tags?: ReadonlyArray<string> | undefined
    readonly xkey?: string | undefined
  }
  /** The public key that the user's JWT in the answer must be for. */
  readonly user_nkey: string
  readonly client_info: {
    readonly host?: string | undefined
    readonly id?: number | undefined
    readonly user?: string | undefined
    readonly name?: string | undefined
    readonly tags?: ReadonlyArray<string> | undefined
    readonly name_tag?: string | undefined
    readonly kind?: string | undefined
    readonly type?: string | undefined
    readonly mqtt_id?: string | undefined
    readonly nonce?: string | undefined
  }
  /** What the client's CONNECT says, secrets included. */
  readonly connect_opts: {
    readonly jwt?: string | undefined
    readonly nkey?: string | undefined
    readonly sig?: string | undefined
    readonly auth_token?: string | undefined
    readonly user?: string | undefined
    readonly pass?: string | undefined
    readonly name?: string | undefined
    readonly lang?: string | undefined
    readonly version?: string | undefined
    readonly protocol: number
  }
  /** Certificates are PEM text. */
  readonly client_tls?: {
    readonly version?: string | undefined
    readonly cipher?: string | undefined
    readonly certs?: ReadonlyArray<string> | undefined
    readonly verified_chains?: ReadonlyArray<ReadonlyArray<string>> | undefined
  } | undefined
  readonly request_nonce?: string | undefined
  readonly tags?: ReadonlyArray<string> | undefined
  readonly type?: string | undefined
  readonly version?: number | undefined
}

/**
 * Makes the keys of a callout service. With `encrypted: true` requests and answers are encrypted. Default `false`.
 * Fails with `PackageMissing` where `@nats-io/jwt` is not installed.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: (
  options?: { readonly encrypted?: boolean | undefined }
) => Effect.Effect<TestAuthCallout, PackageMissing> = Effect.fnUntraced(function*(options) {
  const library = yield* loadJwtLibrary
  const issuer = newKey(library, "account")
  const xkey = options?.encrypted === true ? newKey(library, "curve") : undefined
  const curve = xkey === undefined ? undefined : library.fromSeed(encodeText(xkey.seed))

  const answer: TestAuthCallout["answer"] = Effect.fnUntraced(function*(payload, decide, serverXkey) {
    const plain = curve === undefined || serverXkey === undefined ? payload : curve.open(payload, serverXkey)!
    const request = library.decode<AuthorizationRequest>(new TextDecoder().decode(plain)).nats as AuthorizationRequest
    const decision = decide(request)
    if ("silence" in decision) return undefined
    const data = "deny" in decision ? { error: decision.deny } : {
      jwt: yield* userJwt(
        library,
        issuer,
        request.user_nkey,
        decision.allow.name,
        decision.allow,
        decision.allow.account ?? "$G"
      )
    }
    const text = yield* Effect.promise(() =>
      library.encodeAuthorizationResponse(request.user_nkey, request.server_id.id, encodeText(issuer.seed), data, {})
    )
    return curve === undefined || serverXkey === undefined
      ? encodeText(text)
      : curve.seal(encodeText(text), serverXkey)
  })

  return {
    issuer,
    xkey,
    setup: ({ account, users }) => ({ issuer: issuer.publicKey, users, account, xkey: xkey?.publicKey }),
    answer,
    serve: Effect.fnUntraced(function*(client, decide) {
      const subscription = yield* client.subscription("$SYS.REQ.USER.AUTH")
      yield* subscription.stream.pipe(
        Stream.runForEach((message) =>
          Effect.flatMap(
            answer(message.data, decide, message.header(serverXkeyHeader)),
            (bytes) =>
              bytes === undefined || message.reply === undefined ? Effect.void : client.publish(message.reply, bytes)
          )
        ),
        Effect.ignore,
        Effect.forkScoped
      )
    })
  }
})
