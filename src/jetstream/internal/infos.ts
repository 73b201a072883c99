/** What a server says of streams and consumers, as the public modules have it. */
import type * as Duration from "effect/Duration"
import { InvalidAnswer } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { consumerTable } from "./consumerFields.ts"
import type { ConsumerConfig, ConsumerInfo, PauseState } from "./consumerTypes.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { decodeFields, objectOf } from "./fields.ts"
import { durationOf, timeOf, wholeOf } from "./kinds.ts"
import { streamTable } from "./streamFields.ts"
import type { ClusterInfo, OriginInfo, StreamConfig, StreamInfo } from "./streamTypes.ts"

const empty: WireObject = {}

const textOf = (wire: Wire): string | undefined => typeof wire === "string" && wire !== "" ? wire : undefined

/** Counts and sequences, which fit a number where a server counted them. */
export const numberOf = (wire: Wire): number => Number(wholeOf(wire))

const arrayOf = (wire: Wire): ReadonlyArray<Wire> => Array.isArray(wire) ? wire : []

/** The `config` of an answer, which every answer on a stream or consumer has. */
export const configOf = (request: string, answer: WireObject): WireObject | InvalidAnswer =>
  objectOf(answer.config) ?? new InvalidAnswer({ request, problem: "it has no config" })

const clusterOf = (wire: Wire): ClusterInfo | undefined => {
  const cluster = objectOf(wire)
  const name = textOf(cluster?.name)
  // A server that is alone has no name of a cluster, and says that it leads.
  if (cluster === undefined || name === undefined) return undefined
  return {
    name,
    leader: textOf(cluster.leader),
    replicas: arrayOf(cluster.replicas).map((each) => {
      const peer = objectOf(each) ?? empty
      return {
        name: textOf(peer.name) ?? "",
        isCurrent: peer.current === true,
        isOffline: peer.offline === true,
        active: durationOf(wholeOf(peer.active)),
        lag: numberOf(peer.lag)
      }
    })
  }
}

const originOf = (api: Api, wire: Wire): OriginInfo | undefined => {
  const origin = objectOf(wire)
  if (origin === undefined) return undefined
  const error = textOf(objectOf(origin.error)?.description)
  const active = wholeOf(origin.active)
  return {
    name: textOf(origin.name) ?? "",
    lag: numberOf(origin.lag),
    active: active < 0n ? undefined : durationOf(active),
    error: error === undefined ? undefined : api.shown(error)
  }
}

export const streamInfoOf = (api: Api, answer: WireObject, config: WireObject): StreamInfo => {
  const state = objectOf(answer.state) ?? empty
  const subjects = objectOf(state.subjects)
  return {
    name: textOf(config.name) ?? "",
    created: timeOf(answer.created),
    config: decodeFields(streamTable, config) as unknown as StreamConfig,
    state: {
      messages: numberOf(state.messages),
      bytes: numberOf(state.bytes),
      firstSequence: numberOf(state.first_seq),
      lastSequence: numberOf(state.last_seq),
      firstTime: timeOf(state.first_ts),
      lastTime: timeOf(state.last_ts),
      consumers: numberOf(state.consumer_count),
      subjectCount: numberOf(state.num_subjects),
      deletedCount: numberOf(state.num_deleted),
      deleted: Array.isArray(state.deleted) ? state.deleted.map(numberOf) : undefined,
      subjects: subjects === undefined
        ? undefined
        : new Map(Object.entries(subjects).map(([subject, messages]) => [subject, numberOf(messages)]))
    },
    domain: textOf(answer.domain),
    cluster: clusterOf(answer.cluster),
    mirror: originOf(api, answer.mirror),
    sources: arrayOf(answer.sources).flatMap((each) => originOf(api, each) ?? [])
  }
}

const positionOf = (wire: Wire) => {
  const position = objectOf(wire) ?? empty
  return { sequence: numberOf(position.stream_seq), consumerSequence: numberOf(position.consumer_seq) }
}

/** A negative time is over. */
const remainingOf = (wire: Wire): Duration.Duration | undefined => {
  const nanos = wholeOf(wire)
  return nanos > 0n ? durationOf(nanos) : undefined
}

export const pauseOf = (answer: WireObject): PauseState => ({
  isPaused: answer.paused === true,
  pauseRemaining: remainingOf(answer.pause_remaining)
})

export const consumerInfoOf = (answer: WireObject, config: WireObject): ConsumerInfo => ({
  stream: textOf(answer.stream_name) ?? "",
  name: textOf(answer.name) ?? "",
  created: timeOf(answer.created),
  config: decodeFields(consumerTable, config) as unknown as ConsumerConfig,
  isDurable: textOf(config.durable_name) !== undefined,
  deliverSubject: textOf(config.deliver_subject),
  delivered: positionOf(answer.delivered),
  ackFloor: positionOf(answer.ack_floor),
  pending: numberOf(answer.num_pending),
  ackPending: numberOf(answer.num_ack_pending),
  redelivered: numberOf(answer.num_redelivered),
  waiting: numberOf(answer.num_waiting),
  isPaused: answer.paused === true,
  pauseRemaining: remainingOf(answer.pause_remaining),
  priorityGroups: arrayOf(answer.priority_groups).map((each) => {
    const group = objectOf(each) ?? empty
    return {
      name: textOf(group.group) ?? "",
      pinnedId: textOf(group.pinned_client_id),
      pinnedAt: timeOf(group.pinned_ts)
    }
  }),
  cluster: clusterOf(answer.cluster)
})
