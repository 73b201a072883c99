/**
 * What the public functions that take messages of a consumer do: options and their defaults.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { atLeastOne, wholeNumber } from "../../internal/operations/ranges.ts"
import {
  type FetchError,
  type MessagesError,
  type OpenError,
  type OpenOrderedError,
  type OrderedError,
  UnsupportedByServer
} from "../JetStreamError.ts"
import type { JetStreamMessage } from "../JetStreamMessage.ts"
import type { Api } from "./api.ts"
import type { FetchOptions, MessagesOptions, NextOptions, OrderedOptions } from "./consumingTypes.ts"
import { fetching } from "./fetching.ts"
import { giving } from "./giving.ts"
import { openPull } from "./openPull.ts"
import { openOrdered, type OrderedSource } from "./ordered.ts"
import type { From, OrderedOptions as ReadOptions } from "./orderedConfig.ts"
import type { PullOptions, PullTarget } from "./pullSource.ts"
import { tallied } from "./tally.ts"

const defaultWindow = 500
const defaultWindowBytes = 8 * 1024 * 1024
const defaultHeartbeat = Duration.seconds(5)
const defaultMaxWait = Duration.seconds(5)
const defaultInactive = Duration.seconds(30)

const heartbeatMillis = (heartbeat: Duration.Input | undefined): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(heartbeat ?? defaultHeartbeat))
  if (!(millis >= 100 && millis <= 3_600_000)) {
    throw new RangeError("`heartbeat` has to be from 100 milliseconds to an hour")
  }
  return millis
}

/** Of options as they are given. Throws for numbers that are none. */
export const pullOptionsOf = (options: MessagesOptions): PullOptions => {
  const { windowBytes = defaultWindowBytes, window = defaultWindow } = options
  wholeNumber("window", window)
  atLeastOne("windowBytes", windowBytes)
  return {
    window,
    windowBytes,
    heartbeatMillis: heartbeatMillis(options.heartbeat),
    onMissing: options.onMissing ?? "fail",
    group: options.group,
    priority: options.priority,
    minPending: options.minPending,
    minAckPending: options.minAckPending
  }
}

/** Servers before drop the group without a word. */
const groupLevel = 1

export const checkGroup = (
  api: Api,
  options: { readonly group?: string | undefined }
): UnsupportedByServer | undefined =>
  options.group !== undefined && api.connection.info !== undefined && api.level < groupLevel
    ? new UnsupportedByServer({ feature: "priorityGroups", needs: "2.11" })
    : undefined

export const messagesOf = (
  api: Api,
  target: PullTarget,
  options: MessagesOptions
): Stream.Stream<JetStreamMessage, OpenError | MessagesError> =>
  Stream.suspend(() => {
    const pull = { ...pullOptionsOf(options), keepsAlive: true }
    const open = Effect.suspend(() =>
      checkGroup(api, options) ?? tallied(api, target, (tally) => openPull(api, target, { ...pull, tally }))
    )
    return giving(open, pull.window)
  })

export const readOptionsOf = (options: OrderedOptions): ReadOptions => {
  const { filter, window = defaultWindow, windowBytes = defaultWindowBytes } = options
  wholeNumber("window", window)
  atLeastOne("windowBytes", windowBytes)
  return {
    stream: options.stream,
    filters: filter === undefined ? [] : typeof filter === "string" ? [filter] : [...new Set(filter)],
    from: (options.from ?? "all") as From,
    headersOnly: options.headersOnly,
    window,
    windowBytes,
    heartbeatMillis: heartbeatMillis(options.heartbeat),
    inactiveMillis: Duration.toMillis(Duration.fromInputUnsafe(options.inactiveThreshold ?? defaultInactive))
  }
}

export const orderedOf = (
  api: Api,
  options: OrderedOptions
): Stream.Stream<JetStreamMessage, OpenOrderedError | OrderedError> =>
  Stream.unwrap(
    Effect.map(
      Effect.suspend(() => openOrdered(api, readOptionsOf(options))),
      (source: OrderedSource) => Stream.fromPull(Effect.succeed(source.next))
    )
  )

const fetchOptionsOf = (count: number, options: FetchOptions | undefined): Parameters<typeof fetching>[2] => {
  wholeNumber("count", count)
  return {
    count,
    maxWaitMillis: Duration.toMillis(Duration.fromInputUnsafe(options?.maxWait ?? defaultMaxWait)),
    group: options?.group,
    priority: options?.priority
  }
}

export const fetchOf = (
  api: Api,
  target: PullTarget,
  count: number,
  options: FetchOptions | undefined
): Stream.Stream<JetStreamMessage, FetchError> =>
  Stream.suspend(() => {
    const fetch = fetchOptionsOf(count, options)
    const problem = checkGroup(api, fetch)
    return problem === undefined ? fetching(api, target, fetch) : Stream.fail(problem)
  })

export const nextOf = (
  api: Api,
  target: PullTarget,
  options: NextOptions | undefined
): Effect.Effect<Option.Option<JetStreamMessage>, FetchError> => Stream.runHead(fetchOf(api, target, 1, options))
