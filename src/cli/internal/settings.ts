/**
 * What was set of a configuration, and where, as it may be shown.
 */
import { isContent } from "../../internal/identity/creds.ts"
import { formatServer } from "../../internal/protocol/serverAddress.ts"
import type { NatsConfig } from "../../NatsConfig.ts"
import { own, shown } from "./output.ts"
import { hasUserInfo } from "./overlay.ts"

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

/** The leaves of a JSON value, by their paths. */
export const leaves = (value: unknown, path = ""): ReadonlyArray<readonly [path: string, text: string]> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? Object.entries(value).flatMap(([key, field]) => leaves(field, path === "" ? key : `${path}.${key}`))
    : [[path, Array.isArray(value) ? value.map(String).join(",") : String(value)]]

const secret = /^(?:auth\.(?:password|token|seed|jwt|creds|nkeys_seed_str)|tls\.(?:key|passphrase)|webSocket\..+)$/

/** Whether what was set has a secret in itself, and not the path of a file with one. */
export const holdsSecret = (given: ReadonlyArray<readonly [path: string, text: string]>): boolean =>
  given.some(([path, text]) => path === "servers" ? hasUserInfo(text) : secret.test(path))

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
    // The method is told by what it has.
    if (path === "servers" || (path === "auth._tag" && [...raw.keys()].some((each) => /^auth\.[^_]/.test(each)))) {
      continue
    }
    settings.push({
      // One that is no option's would have been an error; a header is named by whoever sets it.
      path: path.startsWith("webSocket.") ? path : own(path),
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
