/**
 * Reads the server's monitoring port.
 */
import * as http from "node:http"

/**
 * One connection, as `/connz` describes it. More fields are there than are named here.
 *
 * @category models
 * @since 0.1.0
 */
export interface ConnectionInfo {
  readonly cid: number
  /** `Client`, `Leafnode`, … Absent in older servers. */
  readonly kind?: string | undefined
  readonly ip: string
  readonly port: number
  readonly name?: string | undefined
  readonly lang?: string | undefined
  readonly version?: string | undefined
  /** The account; its public key in operator mode. */
  readonly account?: string | undefined
  /** The user; its public key in operator mode. */
  readonly authorized_user?: string | undefined
  readonly tls_version?: string | undefined
  /** Number of subscriptions, and their subjects. */
  readonly subscriptions: number
  readonly subscriptions_list?: ReadonlyArray<string> | undefined
  readonly pending_bytes: number
  readonly in_msgs: number
  readonly out_msgs: number
  readonly in_bytes: number
  readonly out_bytes: number
}

/** Calls back once with the parsed answer, or `undefined` where there is none. The returned function stops it. */
export const getJson = (port: number, path: string, done: (json: unknown) => void): () => void => {
  const request = http.get({ host: "127.0.0.1", port, path, agent: false }, (response) => {
    let text = ""
    response.setEncoding("utf8")
    response.on("data", (part: string) => {
      text += part
    })
    response.on("error", () => done(undefined))
    response.on("end", () => {
      let json: unknown
      try {
        json = JSON.parse(text)
      } catch {
        json = undefined
      }
      done(json)
    })
  })
  request.on("error", () => done(undefined))
  return () => {
    request.destroy()
  }
}
