/**
 * Keeps a connection on a session: dials, watches that the session lives, dials again when it ended, and gives up when
 * that is the truth.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Attempt, ConnectError } from "../../ConnectError.ts"
import type { Reconnect } from "../../NatsConfig.ts"
import type { SessionSettings } from "../config/settings.ts"
import { formatServer } from "../protocol/serverAddress.ts"
import { increment } from "../telemetry/collector.ts"
import type { Credentials } from "../wire/credentials.ts"
import { dial } from "../wire/dial.ts"
import type { TlsMaterial } from "../wire/tlsMaterial.ts"
import { delayBefore, firstDelay, isSpent } from "./backoff.ts"
import {
  isAboutCredentials,
  isAuthFailure,
  isLocal,
  isRefusal,
  isRequested,
  isWorthWaiting,
  mayPass,
  mostTelling
} from "./causes.ts"
import type { Connection } from "./connection.ts"
import { heartbeat } from "./heartbeat.ts"
import { type Draw, type PooledServer, ServerPool } from "./serverPool.ts"
import { type Lost, SessionLink } from "./sessionLink.ts"

/** What is resolved before every dial. */
export interface Secrets {
  readonly credentials: Effect.Effect<Credentials, ConnectError>
  /** Whether `credentials` can yield others than before: it is the user's Effect, or reads a file. */
  readonly credentialsVary: boolean
  readonly tls: Effect.Effect<TlsMaterial, ConnectError>
}

// A refusal ends the supervision after this many in a row with the same credentials. Two in a row are normal: the
// server and the place where the credentials come from do not change at the same moment.
const refusalsToEnd = 3
// Where the credentials can change, they are given this long to do so.
const refusalTime = 10_000
// A session that lived shorter than this does not reset the backoff: a server that accepts and kicks at once would be
// dialled in a tight loop.
const shortLife = 1_000

// A dial ends inside the read loop, and what follows it is the user's: the program, or the next credentials.
const readLoopLeft: Effect.Effect<void> = Effect.callback((resume) => {
  queueMicrotask(() => resume(Effect.void))
})

/** Refusals in a row with the same credentials. */
interface Refusals {
  readonly credentials: Credentials | undefined
  readonly count: number
  readonly since: number
}

export class Supervisor {
  dials = 0
  /** Failures of authentication by tag. */
  readonly authFailuresBy = new Map<string, number>()
  private readonly pool: ServerPool
  private lastGood: Credentials | undefined
  /** What the last dial used, when it was fresh. */
  private offered: Credentials | undefined
  private refusals: Refusals | undefined
  private readonly connection: Connection
  private readonly settings: SessionSettings
  private readonly secrets: Secrets

  /** `draw` is what the order of the servers is drawn with, where it is. */
  constructor(connection: Connection, settings: SessionSettings, secrets: Secrets, draw: Draw) {
    this.connection = connection
    this.settings = settings
    this.secrets = secrets
    this.pool = new ServerPool(
      settings.servers,
      settings.discoverServers,
      settings.randomizeServers ? draw : undefined
    )
  }

  /** The first connect: one round, or as many as `reconnect` allows where `onFirstConnect` says so. */
  readonly connect: Effect.Effect<Lost, ConnectError> = Effect.suspend(() => {
    const { reconnect } = this.settings
    const first = this.round
    return reconnect === false || reconnect.onFirstConnect === "fail"
      ? first
      : Effect.catchIf(
        first,
        // In the background it is an outage, which ends by its budget or a refusal.
        (error) => reconnect.onFirstConnect === "background" || isWorthWaiting(error),
        (error) =>
          Effect.flatMap(
            Effect.all([Clock.currentTimeMillis, this.isFinal(error)]),
            ([now, final]) => final ? Effect.fail(error) : this.redial(reconnect, error, now, 1)
          )
      )
  })

  /** Connects while the client is there already, and goes on. What would have failed the first connect ends the client. */
  readonly run: Effect.Effect<void> = Effect.suspend(() =>
    Effect.matchEffect(this.connect, {
      onFailure: (error) => Effect.sync(() => this.giveUp(error)),
      onSuccess: (lost) => this.supervise(lost)
    })
  )

  /** Runs until the client ends. `lost` belongs to the session that `connect` gave. */
  readonly supervise = (lost: Lost): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const { reconnect } = this.settings
      let current = lost
      let shortLives = 0
      while (true) {
        const opened = yield* Clock.currentTimeMillis
        const reason = yield* this.watch(current)
        this.noteAuth(reason)
        if (this.connection.ended !== undefined) return
        if (reconnect === false && !isRequested(reason)) return this.giveUp(reason)
        const now = yield* Clock.currentTimeMillis
        shortLives = now - opened < shortLife ? shortLives + 1 : 0
        const next = yield* Effect.result(
          reconnect === false ? this.round : this.redial(reconnect, reason, now, 0, shortLives)
        )
        if (this.connection.ended !== undefined) return
        if (Result.isFailure(next)) {
          return this.giveUp(isAboutCredentials(reason) && isRefusal(next.failure) ? reason : next.failure)
        }
        current = next.success
      }
    })

  // A client that is being closed dials on for what its handlers answer; without a session it has ended on purpose.
  private giveUp(reason: ConnectError): void {
    this.connection.end(this.connection.draining ? undefined : reason)
  }

  /** Rounds until one succeeds, the budget is spent, or the credentials are refused for good. */
  private readonly redial = (
    reconnect: Reconnect,
    cause: ConnectError,
    since: number,
    rounds: number,
    shortLives = 0
  ): Effect.Effect<Lost, ConnectError> =>
    Effect.gen({ self: this }, function*() {
      let reason = cause
      let attempt = rounds
      while (true) {
        const steps = attempt + Math.max(0, shortLives - 1)
        const chance = yield* Random.next
        const delay = steps > 0
          ? Math.round(delayBefore(reconnect, steps, chance))
          : isRequested(reason)
          ? 0
          : firstDelay(reconnect, chance)
        const now = yield* Clock.currentTimeMillis
        if (isSpent(reconnect, attempt, now + delay - since)) return yield* reason
        if (delay > 0) {
          this.connection.lostReason = reason
          if (steps > 0 && !this.connection.draining) {
            this.connection.setState({ _tag: "Reconnecting", attempt, delayMillis: delay, reason })
          }
          yield* Effect.sleep(delay)
        }
        attempt++
        const result = yield* Effect.result(this.round)
        if (Result.isSuccess(result)) return result.success
        reason = result.failure
        if (yield* this.isFinal(reason)) return yield* reason
      }
    })

  /** Tries every server once. */
  private readonly round: Effect.Effect<Lost, ConnectError> = Effect.gen({ self: this }, function*() {
    const attempts: Array<Attempt> = []
    for (const server of this.pool.round()) {
      const result = yield* Effect.result(this.dialOne(server))
      if (Result.isSuccess(result)) return result.success
      this.noteAuth(result.failure)
      this.connection.lostReason ??= result.failure
      if (isLocal(result.failure)) return yield* result.failure
      attempts.push({ server: formatServer(server.address), error: result.failure })
    }
    return yield* mostTelling(attempts)
  })

  private readonly dialOne = (server: PooledServer): Effect.Effect<Lost, ConnectError> =>
    Effect.gen({ self: this }, function*() {
      const { settings } = this
      const credentials = yield* this.resolve
      const tls = yield* this.secrets.tls
      const lost = Deferred.makeUnsafe<ConnectError>()
      const owner = new SessionLink(this.connection, this.pool, server, credentials.method, lost)
      this.dials++
      // The owner takes the session before `dial` returns, so that an interruption just then cannot lose it.
      const { address, hadTls, hosts, patience } = server
      const timeoutMillis = Duration.toMillis(settings.connectTimeout) * patience
      yield* Effect.ensuring(
        dial({
          server: address,
          hosts,
          requireTls: hadTls,
          timeoutMillis,
          settings,
          credentials,
          tls,
          owner,
          mostTelling
        }),
        readLoopLeft
      )
      this.lastGood = credentials
      this.refusals = undefined
      return lost
    })

  /** The credentials for a dial. While they cannot be had the last good ones serve, if they are still valid. */
  private readonly resolve: Effect.Effect<Credentials, ConnectError> = Effect.suspend(() => {
    this.offered = undefined
    return Effect.catchTag(
      Effect.tap(this.secrets.credentials, (credentials) => {
        this.offered = credentials
        return Effect.void
      }),
      "CredentialsUnavailable",
      (error) =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const last = this.lastGood
          return last === undefined || (last.expiresAt !== undefined && last.expiresAt <= now)
            ? Effect.fail(error)
            : Effect.succeed(last)
        })
    )
  })

  /** Whether a refusal is the truth, and not a matter of time. */
  private readonly isFinal = (error: ConnectError): Effect.Effect<boolean> =>
    Effect.map(Clock.currentTimeMillis, (now) => {
      if (!isRefusal(error) || mayPass(error)) return false
      if (isLocal(error) && !this.secrets.credentialsVary) return true
      // The last good credentials stood in for those that could not be had: their refusal says nothing of the new ones.
      if (!isLocal(error) && this.offered === undefined) return false
      const known = this.refusals
      const same = known !== undefined && Equal.equals(known.credentials, this.offered)
      const refusals = same
        ? { ...known, count: known.count + 1 }
        : { credentials: this.offered, count: 1, since: now }
      this.refusals = refusals
      return refusals.count >= refusalsToEnd && (!this.secrets.credentialsVary || now - refusals.since >= refusalTime)
    })

  private noteAuth(error: ConnectError): void {
    if (isAuthFailure(error)) increment(this.authFailuresBy, error._tag)
  }

  /** Waits for the end of a session and watches meanwhile that it lives. */
  private readonly watch = (lost: Lost): Effect.Effect<ConnectError> =>
    Effect.scoped(
      Effect.andThen(
        Effect.suspend(() => {
          const { connection, settings } = this
          return connection.session === undefined
            ? Effect.void
            : Effect.forkScoped(heartbeat(connection, connection.session, settings))
        }),
        Deferred.await(lost)
      )
    )
}
