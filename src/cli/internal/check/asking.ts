/**
 * What a connected client asks its server: who am I, how far away is it, what is there of JetStream.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { StaleConnection } from "../../../ConnectError.ts"
import { type AccountInfo, make as makeJetStream } from "../../../jetstream/JetStream.ts"
import * as NatsClient from "../../../NatsClient.ts"
import { rightsText, userInfo } from "../account.ts"
import * as Output from "../output.ts"
import type { Source } from "../source.ts"
import { bytesText, millisText, untilText } from "../times.ts"
import { cleaned } from "./cleaning.ts"
import { failedStage, type Stage, type StageError, type StageName } from "./stages.ts"

/** Until when questions may take, by the clock of `performance`, and for how long each at most, in milliseconds. */
export class Budget {
  private readonly until: number

  constructor(until: number) {
    this.until = until
  }

  /** At least a moment: a server that was dialled is asked. */
  get left(): number {
    return Math.max(50, this.until - performance.now())
  }

  of(most: number): number {
    return Math.round(Math.min(most, this.left))
  }
}

export interface Asking {
  readonly client: NatsClient.NatsClient
  readonly source: Source
  readonly server: string
  readonly budget: Budget
}

type Found = Omit<Stage, "stage" | "millis" | "error">

/** A stage with the time that it took. What is not there, or not allowed, is a note: a client can work without it. */
const timed = <E extends StageError>(
  stage: StageName,
  work: Effect.Effect<Found, E>,
  isNote: (error: E) => boolean
): Effect.Effect<Stage> =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.match(work, {
      onSuccess: (found): Stage => ({ ...found, stage, millis: performance.now() - began }),
      onFailure: (error): Stage => {
        const failed = { ...failedStage(stage, error), millis: performance.now() - began }
        return isNote(error) ? { ...failed, status: "noted" } : failed
      }
    })
  })

const isOver = ({ _tag }: StageError): boolean => _tag === "ConnectionLost" || _tag === "ConnectionClosed"

/** The server has no answer to who this client is. */
class UserInfoNotTold extends Schema.TaggedError<UserInfoNotTold>()("UserInfoNotTold", {}) {
  override get message(): string {
    return "The server does not tell who this client is and what it may do: nobody answers $SYS.REQ.USER.INFO, as on " +
      "servers older than 2.10."
  }
}

const account = ({ budget, client }: Asking): Effect.Effect<Stage> =>
  timed(
    "account",
    Effect.flatMap(
      Effect.catchTag(
        Effect.suspend(() => userInfo(client, budget.of(2000))),
        "NoResponders",
        () => Effect.fail(new UserInfoNotTold())
      ),
      (told) =>
        Effect.map(Clock.currentTimeMillis, (now) => {
          const info = cleaned(told)
          const expires = info.expiresInMillis === undefined
            ? []
            : [`expires ${untilText(now + info.expiresInMillis, now)}`]
          return {
            status: "ok" as const,
            text: [
              `account ${Output.shown(info.account, 128)}`,
              ...(info.user === "" ? [] : [`user ${Output.shown(info.user, 128)}`]),
              ...expires
            ].join(", "),
            more: [
              `may publish to ${Output.shown(rightsText(info.publish))}`,
              `may subscribe to ${Output.shown(rightsText(info.subscribe))}`
            ],
            detail: info
          }
        })
    ),
    // It tells; it is not needed.
    (error) => !isOver(error)
  )

const roundTrips = 10

/** Fewer where the server is too far away for all of them in the time that there is, and a failure where there is none. */
const roundTrip = ({ budget, client, server }: Asking): Effect.Effect<Stage> =>
  timed(
    "rtt",
    Effect.suspend(() => {
      const measured: Array<number> = []
      const measure = Effect.map(client.rtt, (duration) => void measured.push(Duration.toMillis(duration)))
      return Effect.replicateEffect(measure, roundTrips, { discard: true }).pipe(
        Effect.timeoutOrElse({
          duration: budget.of(2000),
          orElse: () => measured.length > 0 ? Effect.void : Effect.fail(new StaleConnection({ server }))
        }),
        Effect.map(() => measured.toSorted((a, b) => a - b))
      )
    }).pipe(Effect.map((millis) => {
      const count = millis.length
      const [min, max] = [millis[0], millis[count - 1]]
      const median = (millis[Math.floor((count - 1) / 2)] + millis[Math.floor(count / 2)]) / 2
      return {
        status: "ok" as const,
        text: `${millisText(median)} (median of ${count}, from ${millisText(min)} to ${millisText(max)})`,
        detail: { count, min, median, max }
      }
    })),
    () => false
  )

/** So many, or so many of those that are allowed. */
const limited = (used: number, limit: number | undefined, text: (n: number) => string): string =>
  limit === undefined ? text(used) : `${text(used)} of ${text(limit)}`

const counted = (used: number, limit: number | undefined, name: string): string =>
  `${limited(used, limit, String)} ${name}${(limit ?? used) === 1 ? "" : "s"}`

const jetStreamText = ({ api, domain, limits, ...usage }: AccountInfo): string => {
  const { consumers, memory, storage, streams } = limits
  const hasLimits = [streams, consumers, storage, memory].some((limit) => limit !== undefined)
  return [
    ...(domain === undefined ? [] : [`domain ${Output.shown(domain, 128)}`]),
    counted(usage.streams, limits.streams, "stream"),
    counted(usage.consumers, limits.consumers, "consumer"),
    `${limited(usage.storage, limits.storage, bytesText)} on disk`,
    `${limited(usage.memory, limits.memory, bytesText)} in memory`,
    ...(hasLimits ? [] : ["no limits"]),
    `API level ${api.level}`
  ].join(", ")
}

const jetStream = ({ budget, client, source }: Asking): Effect.Effect<Stage> =>
  timed(
    "jetstream",
    // Two requests: whether it is there, and what there is.
    Effect.suspend(() => makeJetStream({ ...source.jetStream, timeout: budget.of(3000) / 2 })).pipe(
      Effect.provideService(NatsClient.NatsClient, client),
      Effect.flatMap((js) => js.account),
      Effect.map((told) => {
        const info = cleaned(told)
        return { status: "ok" as const, text: jetStreamText(info), detail: info }
      })
    ),
    (error) => !isOver(error)
  )

/** Asks it all, one after the other, up to what says that the server is gone. */
export const ask = (asking: Asking): Effect.Effect<ReadonlyArray<Stage>> =>
  Effect.gen(function*() {
    const stages: Array<Stage> = []
    for (const question of [account, roundTrip, jetStream]) {
      const stage = yield* question(asking)
      stages.push(stage)
      if (stage.status === "failed") break
    }
    return stages
  })
