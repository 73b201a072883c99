/**
 * How an inspection is told.
 */
import { responsesText, rightsText } from "../account.ts"
import { exitCodes } from "../failure.ts"
import * as Output from "../output.ts"
import { bytesText, isoText, untilText } from "../times.ts"
import type { Claims, UserClaims } from "./claims.ts"
import type { Inspection } from "./inspecting.ts"

const longest = 1024

type Row = readonly [label: string, value: string | undefined]

const shownOr = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : Output.shown(text, 256)

const list = (texts: ReadonlyArray<string>): string | undefined =>
  texts.length === 0 ? undefined : Output.shown(texts.join(", "), longest)

const issuerText = ({ issuer, issuerAccount, kind }: Claims): string | undefined => {
  if (issuer === undefined) return undefined
  const whose = kind !== "user"
    ? ""
    : issuerAccount === undefined || issuerAccount === issuer
    ? " (the account)"
    : " (a signing key of the account)"
  return Output.shown(issuer, 256) + whose
}

const limitsText = ({ data, payload, subscriptions }: UserClaims): string =>
  [
    ...(subscriptions === undefined ? [] : [`${subscriptions} subscriptions`]),
    ...(payload === undefined ? [] : [`${bytesText(payload)} a message`]),
    ...(data === undefined ? [] : [`${bytesText(data)} of data`])
  ].join(", ") || "none"

const userRows = (user: UserClaims): ReadonlyArray<Row> => [
  ["may publish to", Output.shown(rightsText(user.publish), longest)],
  ["may subscribe to", Output.shown(rightsText(user.subscribe), longest)],
  ["may answer", responsesText(user.responses)],
  ["limits", limitsText(user)],
  ["from networks", list(user.networks)],
  [
    "at times",
    user.times.length === 0
      ? undefined
      : Output.shown(
        `${user.times.map(({ end, start }) => `${start} to ${end}`).join(", ")}${
          user.timesLocation === undefined ? "" : ` (${user.timesLocation})`
        }`,
        longest
      )
  ],
  ["connections", list(user.connectionTypes)],
  ["bearer", user.bearer ? "yes: the JWT alone lets in" : undefined],
  ["proxy", user.proxyRequired ? "required" : undefined]
]

const signatures = (intact: boolean | undefined): string =>
  intact === undefined ? "not verified" : intact ? "intact" : "not that of the issuer"

const claimRows = (claims: Claims, now: number): ReadonlyArray<Row> => {
  const moment = (at: number | undefined): string | undefined => at === undefined ? undefined : untilText(at, now)
  return [
    ["name", shownOr(claims.name)],
    ["key", shownOr(claims.subject)],
    ["account", claims.kind === "user" ? shownOr(claims.issuerAccount ?? claims.issuer) : undefined],
    ["issuer", issuerText(claims)],
    ["signature", signatures(claims.intact)],
    ["issued", moment(claims.issuedAt)],
    ["valid from", moment(claims.notBefore)],
    ["expires", moment(claims.expiresAt) ?? "never"]
  ]
}

const seeds: Readonly<Record<Inspection["seed"], string | undefined>> = {
  fits: "fits the key",
  "does not fit": "of another key",
  unusable: "unusable",
  alone: undefined,
  missing: "none",
  "not needed": "none, and none is needed"
}

export const inspectionLines = (
  source: string,
  { claims, notes, seed, seedKey, what }: Inspection,
  now: number
): ReadonlyArray<string> => {
  const seedText = claims !== undefined && claims.user === undefined && seed === "missing" ? undefined : seeds[seed]
  const rows: ReadonlyArray<Row> = [
    ...(claims === undefined ? [["key", seedKey] as const] : claimRows(claims, now)),
    ["seed", seed === "does not fit" ? `of another key, ${seedKey}` : seedText],
    ...(claims?.user === undefined ? [] : userRows(claims.user)),
    ["tags", list(claims?.tags ?? [])]
  ]
  return [
    `${Output.shown(source, 512)}: ${what}`,
    ...Output.table(rows.flatMap(([label, value]) => value === undefined ? [] : [[label, value]]), "  "),
    ...notes.map((note) => `  ${Output.styled("warn", "note")}: ${note}`)
  ]
}

export const inspectionJson = (
  source: string,
  { claims, notes, problems, seed, seedKey, what }: Inspection
): object => ({
  file: source,
  what,
  usable: problems.length === 0,
  key: seedKey ?? claims?.subject,
  seed,
  ...(claims === undefined ? {} : {
    jwt: {
      kind: claims.kind,
      version: claims.version,
      name: claims.name,
      subject: claims.subject,
      account: claims.kind === "user" ? claims.issuerAccount ?? claims.issuer : undefined,
      issuer: claims.issuer,
      intact: claims.intact,
      issuedAt: isoText(claims.issuedAt),
      notBefore: isoText(claims.notBefore),
      expiresAt: isoText(claims.expiresAt),
      tags: claims.tags,
      ...(claims.user === undefined ? {} : { user: claims.user })
    }
  }),
  problems: problems.map(({ _tag, message }) => ({ tag: _tag, message: Output.shown(message) })),
  notes,
  exitCode: problems.length === 0 ? 0 : exitCodes.credentials
})
