/**
 * From what a dial told to the stages of a report.
 */
import type { ConnectError, ConnectStage } from "../../../ConnectError.ts"
import type { ServerInfo } from "../../../internal/protocol/info.ts"
import type { Server } from "../../../NatsConfig.ts"
import * as Output from "../output.ts"
import { bytesText } from "../times.ts"
import { endingSoon, peersText } from "./certificates.ts"
import { cleaned } from "./cleaning.ts"
import { failedStage, type Recording, type Stage, type StageName } from "./stages.ts"

export interface Dialled {
  readonly recording: Recording
  readonly server: Server
  /** When it was over, by the clock of the recording. */
  readonly ended: number
  /** In milliseconds since the epoch. */
  readonly now: number
  readonly error: ConnectError | undefined
}

const infoText = (info: ServerInfo): string =>
  [
    `nats-server ${Output.shown(info.version, 64)}`,
    // A server without a name of its own is called by its id.
    ...(info.server_name === undefined || info.server_name === info.server_id
      ? []
      : [`"${Output.shown(info.server_name, 128)}"`]),
    ...(info.cluster === undefined ? [] : [`cluster ${Output.shown(info.cluster, 128)}`]),
    `at most ${info.max_payload < 0 ? "any size" : bytesText(info.max_payload)} a message`,
    ...(info.headers === true ? [] : ["no headers"]),
    ...(info.jetstream === true ? ["JetStream"] : []),
    ...(info.tls_required === true ? ["TLS required"] : info.tls_available === true ? ["TLS available"] : []),
    ...(info.tls_verify === true ? ["client certificate required"] : []),
    ...(info.auth_required === true ? ["credentials required"] : []),
    ...(info.ldm === true ? ["about to stop"] : [])
  ].join(", ")

const infoDetail = (info: ServerInfo): object => ({
  version: info.version,
  id: info.server_id,
  name: info.server_name,
  cluster: info.cluster,
  maxPayload: info.max_payload,
  headers: info.headers === true,
  jetstream: info.jetstream === true,
  tlsRequired: info.tls_required === true,
  tlsAvailable: info.tls_available === true,
  tlsVerify: info.tls_verify === true,
  authRequired: info.auth_required === true,
  lameDuck: info.ldm === true,
  connectUrls: info.connect_urls ?? []
})

const withPort = (address: string, port: number): string =>
  `${Output.shown(address.includes(":") ? `[${address}]` : address, 128)}:${port}`

/** A dial of several addresses says of each that it failed, also where another one came through. */
const otherAddresses = ({ recording, server }: Dialled, told: string): ReadonlyArray<string> =>
  [...recording.failures].flatMap(([address, { error }]) =>
    address === told ? [] : [`${withPort(address, server.port)} failed: ${error._tag}`]
  )

const described = (
  stage: Exclude<ConnectStage, "lookup" | "up">,
  address: string,
  dialled: Dialled,
  info: ServerInfo | undefined
): Pick<Stage, "text" | "detail" | "more"> => {
  const { port } = dialled.server
  switch (stage) {
    case "tcp":
      return {
        text: withPort(address, port),
        more: otherAddresses(dialled, address),
        detail: {
          address,
          port,
          failed: [...dialled.recording.failures].flatMap(([each, { error }]) =>
            each === address ? [] : [{ address: each, tag: error._tag }]
          )
        }
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

/** The stage that an error is told at: its own, or how far the dial had come. */
const stageOf = (error: ConnectError, reached: StageName | undefined): StageName => {
  const own: ConnectStage | undefined = "stage" in error ? error.stage : undefined
  if (own !== undefined && own !== "up") return own
  switch (error._tag) {
    case "TlsConfigInvalid":
    case "TlsUnavailable":
      // Where the server's INFO says so it is at `info`; else there was no dial.
      return reached ?? "tls"
    case "CredentialsInvalid":
    case "CredentialsExpired":
    case "CredentialsUnavailable":
      return "connect"
    case "ServerNotFound":
      return "lookup"
    default:
      return reached ?? "tcp"
  }
}

const withPeers = (stage: Stage, { now, recording }: Dialled, address: string): Stage => {
  const peers = recording.peers.get(address)
  if (stage.stage !== "tls" || peers === undefined) return stage
  const { detail, lines } = peersText(peers, now)
  const soon = endingSoon(peers, now)
  return {
    ...stage,
    text: [peers.protocol, peers.cipher].filter((each) => each !== undefined).join(", "),
    detail,
    more: [...lines, ...soon],
    status: soon.length === 0 ? "ok" : "noted"
  }
}

/** The stages of a dial, as far as it came; the last one has its failure. */
export const dialStages = (dialled: Dialled): ReadonlyArray<Stage> => {
  const { ended, error, recording } = dialled
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
  const address = recording.addressOf(error)
  if (address !== undefined) {
    const info = cleaned(recording.infos.get(address))
    for (const { millis, stage } of recording.stagesOf(address, ended)) {
      if (stage === "lookup" || stage === "up") continue
      const made: Stage = { stage, status: "ok", millis, ...described(stage, address, dialled, info) }
      stages.push(withPeers(made, dialled, address))
    }
  }
  if (error === undefined) return stages
  const failed = failedStage(stageOf(error, stages.at(-1)?.stage), error)
  const same = stages.findIndex(({ stage }) => stage === failed.stage)
  if (same < 0) return [...stages, { ...failed, millis: stages.length === 0 ? ended - recording.began : undefined }]
  const { detail, millis, more = [], text } = stages[same]
  // With what the server has told in it, which may show why.
  const found = text !== "" && (failed.stage === "info" || failed.stage === "tls") ? [text, ...more] : more
  return [...stages.slice(0, same), { ...failed, millis, detail, more: found }]
}
