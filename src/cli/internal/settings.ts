/**
 * What was set of a configuration, and where, as it may be shown.
 */
import { isContent } from "../../internal/identity/creds.ts"
import { formatServer } from "../../internal/protocol/serverAddress.ts"
import type { NatsConfig } from "../../NatsConfig.ts"
import { shown } from "./output.ts"

export interface Setting {
  /** Such as `tls.caFile`. */
  readonly path: string
  /** The value, or that there is one. */
  readonly value: string
  /** The variable, the option or the key of a file that it came from. */
  readonly from: string
}

/** Options whose values are no secret wherever they come from. All others are only said to be there. */
const open =
  /^(?:name|auth\.(?:_tag|user|path)|tls\.(?:mode|handshakeFirst|serverName|\w+File|dangerouslyDisableVerification)|\w+Timeout|\w+Servers|pingInterval|maxPingOut|inboxPrefix|noEcho|banner|logStatus|metrics|reconnect(?:\.\w+)?|whileDisconnected(?:\.buffer)?)$/

/** What a path is shown of: something else in its place may be the secret itself. */
const isPath = (text: string): boolean => /[\\/.]/.test(text) && !isContent(text)

const isShown = (path: string, text: string): boolean =>
  open.test(path) && (!/File$|\.path$/.test(path) || isPath(text))

export const hidden = "<redacted>"

const longestValue = 256

/** `raw` has the texts by their paths, and `from` where each came from. */
export const settingsOf = (
  config: NatsConfig,
  raw: ReadonlyMap<string, string>,
  from: ReadonlyMap<string, string>
): ReadonlyArray<Setting> => {
  const settings: Array<Setting> = [{
    path: "servers",
    value: config.servers.map(formatServer).join(", "),
    from: from.get("servers") ?? "default"
  }]
  for (const [path, text] of raw) {
    if (path === "servers") continue
    settings.push({
      path,
      value: isShown(path, text) ? shown(text, longestValue) : hidden,
      from: from.get(path) ?? "default"
    })
  }
  if (
    config.auth._tag !== "Anonymous" && ![...raw.keys()].some((path) => path === "auth" || path.startsWith("auth."))
  ) {
    settings.push({ path: "auth", value: config.auth._tag, from: `user info of ${from.get("servers") ?? "servers"}` })
  }
  return settings
}
