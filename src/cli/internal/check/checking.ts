/**
 * One server, from its name to JetStream.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type { ConnectError, ConnectStage } from "../../../ConnectError.ts"
import type { ServerInfo } from "../../../internal/protocol/info.ts"
import { formatServer } from "../../../internal/protocol/serverAddress.ts"
import { DialTracing } from "../../../internal/wire/dialTracing.ts"
import { type AccountInfo, make as makeJetStream } from "../../../jetstream/JetStream.ts"
import * as NatsClient from "../../../NatsClient.ts"
import type { NatsConfig, Server } from "../../../NatsConfig.ts"
import * as NatsLayer from "../../../NatsLayer.ts"
import { rightsText, userInfo } from "../account.ts"
import * as Output from "../output.ts"
import type { Source } from "../source.ts"
import { endingSoon, peersText } from "./certificates.ts"
import { Recording, type Stage } from "./stages.ts"
import { bytesText, millisText, untilText } from "./times.ts"

export interface ServerReport {
  readonly server: string
  readonly stages: ReadonlyArray<Stage>
}

/** A dial of this server alone, and no other one after it. */
const configFor = (config: NatsConfig, server: Server): NatsConfig => ({
  ...config,
  servers: [server],
  discoverServers: false,
  reconnect: false,
  whileDisconnected: "fail",
  banner: false,
  logStatus: false
})

const infoText = (info: ServerInfo): string =>
  [
    `nats-server ${Output.shown(info.version, 64)}`,
    ...(info.server_name === undefined ? [] : [`"${Output.shown(info.server_name, 128)}"`]),
    ...(info.cluster === undefined ? [] : [`cluster ${Output.shown(info.cluster, 128)}`]),
    `at most ${info.max_payload < 0 ? "any size" : bytesText(info.max_payload)} a message`,
    ...(info.headers === true ? [] : ["no headers"]),
    ...(info.jetstream === true ? ["JetStream"] : []),
    ...(info.tls_required === true ? ["TLS required"] : info.tls_available === true ? ["TLS available"] : []),
    ...(info.auth_required === true ? ["credentials required"] : []),
    ...(info.ldm === true ? ["about to stop"] : [])
  ].join(", ")

const infoDetail = (info: ServerInfo): object => ({
  version: info.version,
  name: info.server_name,
  cluster: info.cluster,
  maxPayload: info.max_payload,
  headers: info.headers === true,
  jetstream: info.jetstream === true,
  tlsRequired: info.tls_required === true,
  tlsAvailable: info.tls_available === true,
  authRequired: info.auth_required === true,
  connectUrls: info.connect_urls ?? []
})

/** The stages of a dial, as far as it came; the last one has its failure. */
const dialStages = (
  recording: Recording,
  server: Server,
  ended: number,
  now: number,
  error: ConnectError | undefined
): ReadonlyArray<Stage> => {
  const stages: Array<Stage> = []
  if (recording.lookedUpAt !== undefined) {
    stages.push({
      stage: "lookup",
      status: "ok",
      millis: recording.lookedUpAt - recording.began,
      text: recording.addresses.map((address) => Output.shown(address, 64)).join(", "),
      detail: { addresses: recording.addresses }
    })
  }
  const address = recording.furthest
  if (address !== undefined) {
    const info = recording.infos.get(address)
    const peers = recording.peers.get(address)
    for (const { millis, stage } of recording.stagesOf(address, ended)) {
      if (stage === "lookup" || stage === "up") continue
      stages.push({ stage, status: "ok", millis, ...described(stage, address, server, info) })
    }
    if (peers !== undefined) {
      const at = stages.findIndex(({ stage }) => stage === "tls")
      const { detail, lines } = peersText(peers, now)
      const soon = endingSoon(peers, now)
      if (at >= 0) {
        const text = [peers.protocol, peers.cipher].filter((each) => each !== undefined).join(", ")
        stages[at] = {
          ...stages[at],
          text,
          detail,
          more: [...lines, ...soon],
          status: soon.length === 0 ? "ok" : "noted"
        }
      }
    }
  }
  if (error === undefined) return stages
  const failed: Stage = {
    stage: stageOf(error, stages.at(-1)?.stage),
    status: "failed",
    text: `${error._tag}: ${Output.shown(error.message)}`,
    error
  }
  const same = stages.findIndex(({ stage }) => stage === failed.stage)
  if (same < 0) return [...stages, failed]
  const { detail, millis, more } = stages[same]
  return [...stages.slice(0, same), { ...failed, millis, detail, more }]
}

/** The stage that an error is told at: its own, or how far the dial had come. */
const stageOf = (error: ConnectError, reached: Stage["stage"] | undefined): Stage["stage"] => {
  const own: ConnectStage | undefined = "stage" in error ? error.stage : undefined
  if (own !== undefined && own !== "up") return own
  return reached ?? (error._tag === "ServerNotFound" ? "lookup" : "tcp")
}

const described = (
  stage: Exclude<ConnectStage, "lookup" | "up">,
  address: string,
  server: Server,
  info: ServerInfo | undefined
): Pick<Stage, "text" | "detail"> => {
  switch (stage) {
    case "tcp": {
      const host = address.includes(":") ? `[${address}]` : address
      return { text: `${Output.shown(host, 128)}:${server.port}`, detail: { address, port: server.port } }
    }
    case "info":
      return info === undefined ? { text: "" } : { text: infoText(info), detail: infoDetail(info) }
    case "tls":
      return { text: "" }
    case "connect":
      return info?.client_id === undefined
        ? { text: "accepted" }
        : { text: `accepted as connection ${info.client_id}`, detail: { clientId: info.client_id } }
  }
}

const failureOf = (stage: Stage["stage"], error: { readonly _tag: string; readonly message: string }): Stage => ({
  stage,
  status: "failed",
  text: `${error._tag}: ${Output.shown(error.message)}`,
  error
})

/** A stage with the time that it took. What is not there, or not allowed, is a note: a client can work without it. */
const timed = <E extends { readonly _tag: string; readonly message: string }>(
  stage: Stage["stage"],
  work: Effect.Effect<Omit<Stage, "stage" | "millis">, E>,
  mayFail: (error: E) => boolean
): Effect.Effect<Stage> =>
  Effect.suspend(() => {
    const began = performance.now()
    return Effect.match(work, {
      onSuccess: (found): Stage => ({
        ...found,
        stage,
        millis: found.status === "ok" ? performance.now() - began : undefined
      }),
      onFailure: (error): Stage =>
        mayFail(error) ? { ...failureOf(stage, error), status: "noted", error: undefined } : failureOf(stage, error)
    })
  })

const account = (client: NatsClient.NatsClient): Effect.Effect<Stage> =>
  timed(
    "account",
    Effect.flatMap(userInfo(client), (info) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        const expires = info.expiresInMillis === undefined
          ? []
          : [`expires ${untilText(now + info.expiresInMillis, now)}`]
        return {
          status: "ok" as const,
          text: [`account ${Output.shown(info.account, 128)}`, `user ${Output.shown(info.user, 128)}`, ...expires].join(
            ", "
          ),
          more: [
            `may publish to ${Output.shown(rightsText(info.publish), 1024)}`,
            `may subscribe to ${Output.shown(rightsText(info.subscribe), 1024)}`
          ],
          detail: info
        }
      })),
    // It tells; it is not needed.
    ({ _tag }) => _tag !== "ConnectionLost" && _tag !== "ConnectionClosed"
  )

const roundTrips = 10

const roundTrip = (client: NatsClient.NatsClient): Effect.Effect<Stage> =>
  timed(
    "rtt",
    Effect.map(Effect.replicateEffect(Effect.timeout(client.rtt, "2 seconds"), roundTrips), (durations) => {
      const millis = durations.map((duration) => Duration.toMillis(duration)).toSorted((a, b) => a - b)
      const [min, median, max] = [millis[0], (millis[4] + millis[5]) / 2, millis[roundTrips - 1]]
      return {
        status: "ok" as const,
        text: `${millisText(median)} (median of ${roundTrips}, from ${millisText(min)} to ${millisText(max)})`,
        detail: { count: roundTrips, min, median, max }
      }
    }),
    () => false
  ).pipe(Effect.map((stage) => ({ ...stage, millis: undefined })))

const limited = (used: number, limit: number | undefined, text: (n: number) => string): string =>
  `${text(used)} of ${limit === undefined ? "any number" : text(limit)}`

const jetStreamText = ({ api, limits, ...usage }: AccountInfo): string =>
  [
    `${limited(usage.streams, limits.streams, String)} streams`,
    `${limited(usage.consumers, limits.consumers, String)} consumers`,
    `${bytesText(usage.storage)} of ${limits.storage === undefined ? "any size" : bytesText(limits.storage)} on disk`,
    `${bytesText(usage.memory)} of ${limits.memory === undefined ? "any size" : bytesText(limits.memory)} in memory`,
    `API level ${api.level}`
  ].join(", ")

const jetStream = (client: NatsClient.NatsClient, source: Source): Effect.Effect<Stage> =>
  timed(
    "jetstream",
    makeJetStream({ ...source.jetStream, timeout: "3 seconds" }).pipe(
      Effect.provideService(NatsClient.NatsClient, client),
      Effect.flatMap((js) => js.account),
      Effect.map((info) => ({ status: "ok" as const, text: jetStreamText(info), detail: info }))
    ),
    ({ _tag }) => _tag !== "ConnectionLost" && _tag !== "ConnectionClosed"
  )

/** Dials a server, asks it what it is asked, and leaves. Never fails: what fails is a stage of the report. */
export const checkServer = (source: Source, server: Server): Effect.Effect<ServerReport> =>
  Effect.gen(function*() {
    const recording = new Recording()
    const connected = Layer.build(NatsLayer.fromConfig(configFor(source.config, server))).pipe(
      Effect.map((services) => Context.get(services, NatsClient.NatsClient)),
      Effect.provideService(DialTracing, recording),
      Effect.exit
    )
    const stages = yield* Effect.scoped(Effect.gen(function*() {
      const exit = yield* connected
      const ended = performance.now()
      const now = yield* Clock.currentTimeMillis
      if (Exit.isFailure(exit)) {
        const error = Cause.findErrorOption(exit.cause)
        if (error._tag === "None") return yield* Effect.failCause(exit.cause as Cause.Cause<never>)
        return dialStages(recording, server, ended, now, error.value)
      }
      const client = exit.value
      const dialled = dialStages(recording, server, ended, now, undefined)
      return [...dialled, yield* account(client), yield* roundTrip(client), yield* jetStream(client, source)]
    }))
    return { server: formatServer(server), stages }
  })
