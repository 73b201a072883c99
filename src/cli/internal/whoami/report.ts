/**
 * How it is told who a client is.
 */
import { responsesText, rightsText, type UserInfo } from "../account.ts"
import type { Failure } from "../failure.ts"
import * as Output from "../output.ts"
import type { Source } from "../source.ts"
import { isoText, untilText } from "../times.ts"
import type { Identity } from "./identity.ts"

const longest = 1024

/** A name, and the key that it is the name of. */
const named = (name: string | undefined, key: string | undefined): string | undefined => {
  const [first, second] = [name, key].flatMap((text) =>
    text === undefined || text === "" ? [] : [Output.shown(text, 256)]
  )
  return first === undefined || second === undefined || first === second ? first : `${first} (${second})`
}

/** The system of accounts has this one where a server knows no others. */
const accountText = ({ account, accountName }: UserInfo): string | undefined =>
  account === "$G" ? "$G, the one that all share who are in no other" : named(accountName, account)

/** The remedies of a request that anybody may answer are none here. */
const noteOf = ({ _tag }: Failure): string =>
  `The server does not say who this client is (${_tag}). Servers do since 2.10, and only where the client may publish to ` +
  "$SYS.REQ.USER.INFO and subscribe to its inbox."

/** Who it is where neither the server nor the credentials have a name for it. */
const nobody = ({ local, told }: Identity): string =>
  local.method === "Token"
    ? "whoever has the token"
    : "_tag" in told
    ? "not known: no credentials were sent"
    : "nobody in particular"

const userText = (identity: Identity): string => {
  const { local, told } = identity
  const theirs = "_tag" in told ? undefined : told
  return named(theirs?.userName ?? local.name, theirs?.user ?? local.key) ?? named(local.user, local.key) ??
    nobody(identity)
}

export const identityLines = (
  address: string | undefined,
  identity: Identity
): ReadonlyArray<string> => {
  const { expiresAt, local, now, server, told } = identity
  const said = "_tag" in told ? undefined : told
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["user", userText(identity)],
    ["account", said === undefined ? named(undefined, local.account) : accountText(said)],
    ["method", local.method],
    ["key", local.key],
    ["expires", expiresAt !== undefined ? untilText(expiresAt, now) : said === undefined ? undefined : "never"],
    ["may publish to", said === undefined ? undefined : Output.shown(rightsText(said.publish), longest)],
    ["may subscribe to", said === undefined ? undefined : Output.shown(rightsText(said.subscribe), longest)],
    [
      "may answer",
      said?.responses === undefined
        ? undefined
        : responsesText({ max: said.responses.max, ttlMillis: (said.responses.ttl ?? 0) / 1e6 })
    ],
    [
      "server",
      [
        ...(address === undefined ? [] : [address]),
        `nats-server ${Output.shown(server.version, 64)}`,
        // A server without a name of its own is called by its id.
        ...(server.server_name === undefined || server.server_name === server.server_id
          ? []
          : [`"${Output.shown(server.server_name, 128)}"`]),
        ...(server.cluster === undefined ? [] : [`cluster ${Output.shown(server.cluster, 128)}`])
      ].join(", ")
    ],
    [
      "connection",
      server.client_id === undefined
        ? undefined
        : `${server.client_id}${server.client_ip === undefined ? "" : `, from ${Output.shown(server.client_ip, 64)}`}`
    ]
  ]
  return [
    ...Output.table(rows.flatMap(([name, value]) => value === undefined ? [] : [[name, value]]), "  "),
    ..."_tag" in told ? [`  ${Output.styled("warn", "note")}: ${noteOf(told)}`] : []
  ]
}

export const identityJson = (
  { label, notes, settings }: Source,
  address: string | undefined,
  { expiresAt, local, server, told }: Identity
): object => {
  const said = "_tag" in told ? undefined : told
  return {
    configuration: { source: label, settings, notes },
    user: [said?.user, local.user, local.key].find((each) => each !== undefined && each !== ""),
    userName: said?.userName ?? local.name,
    account: said?.account ?? local.account,
    accountName: said?.accountName,
    method: local.method,
    key: local.key,
    expiresAt: isoText(expiresAt),
    ...(said === undefined
      ? {}
      : { permissions: { publish: said.publish, subscribe: said.subscribe, responses: said.responses } }),
    server: {
      url: address,
      name: server.server_name,
      id: server.server_id,
      version: server.version,
      cluster: server.cluster
    },
    connection: { id: server.client_id, ip: server.client_ip },
    notes: "_tag" in told ? [noteOf(told)] : [],
    exitCode: 0
  }
}
