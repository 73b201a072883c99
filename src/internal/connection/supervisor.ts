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
import { type Attempt, type ConnectError, CredentialsExpired } from "../../ConnectError.ts"
import type { Reconnect } from "../../NatsConfig.ts"
import type { SessionSettings } from "../config/settings.ts"
import { formatServer } from "../protocol/serverAddress.ts"
import { increment } from "../telemetry/collector.ts"
import { elapsedMillis } from "../telemetry/monotonic.ts"
import { type Credentials, timesProblem } from "../wire/credentials.ts"
import { dial } from "../wire/dial.ts"
import type { DialProgress } from "../wire/session.ts"
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
import { RefusedCredentials } from "./refusedCredentials.ts"
import { type Draw, type PooledServer, ServerPool } from "./serverPool.ts"
import { type Lost, SessionLink } from "./sessionLink.ts"
import type { StatusLog } from "./statusLog.ts"

/** What is resolved before every dial. */
export interface Secrets {
  readonly credentials: Effect.Effect<Credentials, ConnectError>
  /** Whether `credentials` can yield others than before: it is the user's Effect, or reads a file. */
  readonly credentialsVary: boolean
  readonly tls: Effect.Effect<TlsMaterial, ConnectError>
}

// A session that lived shorter than this does not reset the backoff: a server that accepts and kicks at once would be
// dialled in a tight loop.
const shortLife = 1_000

// A dial ends inside the read loop, and what follows it is the user's: the program, or the next credentials.
const readLoopLeft: Effect.Effect<void> = Effect.callback((resume) => {
  queueMicrotask(() => resume(Effect.void))
})

/** What a dial sends, and whether it is what the provider gave for it. */
interface Offer {
  readonly credentials: Credentials
  readonly isFresh: boolean
}

const expired = ({ expiresAt, method, source }: Credentials, now: number): CredentialsExpired =>
  new CredentialsExpired({ method, source, notYetValid: false, at: expiresAt ?? now })

export class Supervisor {
  dials = 0
  /** Failures of authentication by tag. */
  readonly authFailuresBy = new Map<string, number>()
  private readonly pool: ServerPool
  private lastGood: Credentials | undefined
  /** The last good ones, where they stand in for those that could not be had in this round. */
  private standIn: Credentials | undefined
  /** Those whose JWT has expired, as the server said. */
  private spent: Credentials | undefined
  private readonly refused = new RefusedCredentials()
  private readonly connection: Connection
  private readonly settings: SessionSettings
  private readonly secrets: Secrets
  private readonly log: StatusLog
  /** The server of the last session. */
  private server = ""

  /** What the failure of the first connect ends with, where the configuration may have been meant otherwise. */
  private readonly hint: string | undefined

  /** `draw` is what the order of the servers is drawn with, where it is. */
  constructor(
    connection: Connection,
    settings: SessionSettings,
    secrets: Secrets,
    log: StatusLog,
    draw: Draw,
    hint?: string
  ) {
    this.connection = connection
    this.settings = settings
    this.secrets = secrets
    this.log = log
    this.hint = hint
    this.pool = new ServerPool(
      settings.servers,
      settings.discoverServers,
      settings.randomizeServers ? draw : undefined,
      (host) => connection.filter.repeats(host)
    )
  }

  /** The first connect: one round, or as many as `reconnect` allows where `onFirstConnect` says so. */
  readonly connect: Effect.Effect<Lost, ConnectError> = Effect.suspend(() => {
    const { reconnect } = this.settings
    return reconnect === false || reconnect.onFirstConnect === "fail" ? this.round : this.firstSession(reconnect)
  })

  private readonly firstSession = (reconnect: Reconnect): Effect.Effect<Lost, ConnectError> =>
    Effect.gen({ self: this }, function*() {
      const since = yield* elapsedMillis
      this.log.starts(since)
      const first = yield* Effect.result(this.round)
      if (Result.isSuccess(first)) return yield* this.connected(first.success)
      const error = first.failure
      // In the background it is an outage, which ends by its budget or a refusal.
      const waits = reconnect.onFirstConnect === "background" || isWorthWaiting(error)
      if (!waits || this.isFinal(reconnect, error)) return yield* error
      return yield* this.connected(yield* this.redial(reconnect, error, since, 1))
    })

  private readonly connected = (lost: Lost): Effect.Effect<Lost> =>
    Effect.flatMap(elapsedMillis, (now) => Effect.as(this.log.back(this.server, now), lost))

  /** Connects while the client is there already, and goes on. What would have failed the first connect ends the client. */
  readonly run: Effect.Effect<void> = Effect.suspend(() =>
    Effect.matchEffect(this.connect, {
      onFailure: (error) => this.giveUp(error),
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
        const opened = yield* elapsedMillis
        const reason = yield* this.watch(current)
        this.noteAuth(reason)
        if (this.connection.ended !== undefined) return
        const isAskedFor = isRequested(reason)
        if (reconnect === false && !isAskedFor) return yield* this.giveUp(reason)
        const now = yield* elapsedMillis
        if (!isAskedFor) shortLives = now - opened < shortLife ? shortLives + 1 : 0
        this.noteSpent(reason)
        yield* this.log.lost(reason, now)
        const next = yield* Effect.result(
          reconnect === false ? this.round : this.redial(reconnect, reason, now, 0, isAskedFor ? 0 : shortLives)
        )
        if (this.connection.ended !== undefined) return
        if (Result.isFailure(next)) {
          return yield* this.giveUp(isAboutCredentials(reason) && isRefusal(next.failure) ? reason : next.failure)
        }
        current = yield* this.connected(next.success)
      }
    })

  // A client that is being closed dials on for what its handlers answer; without a session it has ended on purpose.
  private giveUp(reason: ConnectError): Effect.Effect<void> {
    return Effect.map(
      this.log.ended(reason),
      () => this.connection.end(this.connection.draining ? undefined : reason)
    )
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
        const due = steps > 0
          ? delayBefore(reconnect, steps, chance)
          : isRequested(reason)
          ? 0
          : firstDelay(reconnect, chance)
        const delay = Math.round(isRefusal(reason) ? this.untilFinal(reconnect, due) : due)
        const now = yield* elapsedMillis
        if (isSpent(reconnect, attempt, now + delay - since)) return yield* reason
        if (attempt > 0) yield* this.log.failed(reason)
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
        if (this.isFinal(reconnect, reason)) return yield* reason
      }
    })

  /** Tries every server once. */
  private readonly round: Effect.Effect<Lost, ConnectError> = Effect.gen({ self: this }, function*() {
    const attempts: Array<Attempt> = []
    this.standIn = undefined
    for (const server of this.pool.round()) {
      const result = yield* Effect.result(this.dialOne(server))
      if (Result.isSuccess(result)) return result.success
      this.noteAuth(result.failure)
      this.connection.lostReason ??= result.failure
      if (isLocal(result.failure)) return yield* this.hinted(result.failure)
      attempts.push({ server: formatServer(server.address), error: result.failure })
    }
    return yield* this.hinted(mostTelling(attempts))
  })

  /** The message alone has it. No field does: what is encoded is the error as it is without. */
  private hinted(error: ConnectError): ConnectError {
    const { hint } = this
    if (hint === undefined || this.connection.sessions > 0) return error
    return Object.defineProperty(error, "message", { value: `${error.message} ${hint}`, configurable: true })
  }

  private readonly dialOne = (server: PooledServer): Effect.Effect<Lost, ConnectError> =>
    Effect.gen({ self: this }, function*() {
      const { settings } = this
      const offer = yield* this.resolve
      const { credentials } = offer
      const tls = yield* this.secrets.tls
      const lost = Deferred.makeUnsafe<ConnectError>()
      const owner = new SessionLink(this.connection, this.pool, server, credentials.method, lost)
      const progress: DialProgress = { stage: "lookup" }
      this.dials++
      const began = yield* elapsedMillis
      // The owner takes the session before `dial` returns, so that an interruption just then cannot lose it.
      const { address, hadTls, hosts, patience } = server
      const timeoutMillis = Duration.toMillis(settings.connectTimeout) * patience
      const result = yield* Effect.result(Effect.ensuring(
        dial({
          server: address,
          hosts,
          requireTls: hadTls,
          timeoutMillis,
          settings,
          credentials,
          tls,
          filter: this.connection.filter,
          owner,
          mostTelling,
          progress
        }),
        readLoopLeft
      ))
      const ended = yield* elapsedMillis
      const { inClear } = progress
      if (inClear !== undefined && tls.modeIsDefault === true) yield* this.log.inClear(formatServer(address), inClear)
      const error = Result.isFailure(result) ? result.failure : undefined
      if (error === undefined) {
        this.lastGood = credentials
        this.refused.reset()
        this.server = formatServer(address)
      } else if (isRefusal(error)) {
        this.noteRefusal(offer, yield* Clock.currentTimeMillis, ended)
      }
      yield* this.log.dialled(formatServer(address), progress, ended - began, error)
      return error === undefined ? lost : yield* error
    })

  /**
   * The credentials for a dial. While they cannot be had the last good ones serve, if they are still valid; the provider,
   * which can take its time to fail, is asked again in the next round.
   */
  private readonly resolve: Effect.Effect<Offer, ConnectError> = Effect.suspend(() =>
    this.standIn !== undefined
      ? Effect.succeed({ credentials: this.standIn, isFresh: false })
      : Effect.matchEffect(this.secrets.credentials, {
        onSuccess: (credentials): Effect.Effect<Offer, ConnectError> =>
          this.hasExpired(credentials)
            ? Effect.flatMap(Clock.currentTimeMillis, (now) => this.unusable(expired(credentials, now)))
            : Effect.succeed({ credentials, isFresh: true }),
        onFailure: (error): Effect.Effect<Offer, ConnectError> =>
          error._tag === "CredentialsUnavailable" ? this.lastGoodFor(error) : this.unusable(error)
      })
  )

  private readonly lastGoodFor = (error: ConnectError): Effect.Effect<Offer, ConnectError> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      this.refused.pause()
      const last = this.lastGood
      if (last === undefined || this.hasExpired(last) || timesProblem(last, now) !== undefined) {
        return Effect.fail(error)
      }
      this.standIn = last
      return Effect.as(this.log.standIn(error), { credentials: last, isFresh: false })
    })

  /** Refused before anything is dialled, as the same text and the same JWT will be again. */
  private readonly unusable = (error: ConnectError): Effect.Effect<never, ConnectError> =>
    Effect.flatMap(elapsedMillis, (now) => {
      if (isRefusal(error) && !mayPass(error)) this.refused.refused(error.message, now)
      return Effect.fail(error)
    })

  // The refusal of those that stood in says nothing of the new ones, and a JWT can be early by the server's clock only.
  private noteRefusal({ credentials, isFresh }: Offer, time: number, now: number): void {
    const { notBefore } = credentials
    if (!isFresh || (notBefore !== undefined && notBefore > time)) this.refused.pause()
    else this.refused.refused(credentials, now)
  }

  // What expires for a password is what an auth callout has issued for it.
  private noteSpent(reason: ConnectError): void {
    if (reason._tag === "AuthenticationExpired" && this.lastGood?.expiresAt !== undefined) this.spent = this.lastGood
  }

  private hasExpired({ jwt }: Credentials): boolean {
    return this.spent !== undefined && Equal.equals(this.spent.jwt, jwt)
  }

  /** How long the credentials that were refused may be refused yet, in milliseconds. */
  private patience({ refusalTimeout }: Reconnect): number {
    const { millis } = this.refused
    return refusalTimeout === "forever" || millis === undefined
      ? Infinity
      : Duration.toMillis(refusalTimeout) - millis
  }

  // The last dial of refused credentials is made when their time is over, and not a long delay later.
  private untilFinal(reconnect: Reconnect, delay: number): number {
    const patience = this.patience(reconnect)
    return this.refused.isCounting && patience > 0 ? Math.min(delay, Math.ceil(patience)) : delay
  }

  /** Whether a refusal is the truth, and not a matter of time. */
  private isFinal(reconnect: Reconnect, error: ConnectError): boolean {
    if (!isRefusal(error) || mayPass(error)) return false
    return (isLocal(error) && !this.secrets.credentialsVary) || this.patience(reconnect) <= 0
  }

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
