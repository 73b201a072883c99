/**
 * Who this client is for the server: `$SYS.REQ.USER.INFO`, which answers since 2.10 where the client may ask it.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { NatsClient } from "../../NatsClient.ts"
import type { RequestError } from "../../NatsError.ts"
import { repeatsSecret } from "./output.ts"

const Subjects = Schema.optionalKey(Schema.NullOr(Schema.Array(Schema.String)))

const Rights = Schema.optionalKey(Schema.NullOr(Schema.Struct({ allow: Subjects, deny: Subjects })))

const Answer = Schema.Struct({
  data: Schema.Struct({
    user: Schema.String,
    account: Schema.String,
    /** Names besides the keys, which newer servers give. */
    user_name: Schema.optionalKey(Schema.String),
    account_name: Schema.optionalKey(Schema.String),
    permissions: Schema.optionalKey(Schema.NullOr(Schema.Struct({
      publish: Rights,
      subscribe: Rights,
      responses: Schema.optionalKey(Schema.NullOr(Schema.Struct({
        max: Schema.optionalKey(Schema.Number),
        ttl: Schema.optionalKey(Schema.Number)
      })))
    }))),
    /** Nanoseconds until the server ends the session. */
    expires: Schema.optionalKey(Schema.Number)
  })
})

const decode = Schema.decodeUnknownOption(Schema.fromJsonString(Answer))

export interface Rights {
  readonly allow: ReadonlyArray<string>
  readonly deny: ReadonlyArray<string>
}

export interface UserInfo {
  readonly user: string
  readonly account: string
  /** Names of what the two above are keys of, where the server gives them. */
  readonly userName: string | undefined
  readonly accountName: string | undefined
  readonly publish: Rights | undefined
  readonly subscribe: Rights | undefined
  /** How many answers a client may give to a request, where it is limited. */
  readonly responses: { readonly max?: number; readonly ttl?: number } | undefined
  readonly expiresInMillis: number | undefined
}

/** An answer that is none of this kind. */
export class NotUserInfo extends Schema.TaggedError<NotUserInfo>()("NotUserInfo", {}) {
  override get message(): string {
    return "What answered $SYS.REQ.USER.INFO is not the server."
  }
}

/** A server gives them in any order. */
const sorted = (subjects: ReadonlyArray<string> | null | undefined): ReadonlyArray<string> =>
  (subjects ?? []).toSorted()

const rightsOf = (
  rights:
    | { readonly allow?: ReadonlyArray<string> | null; readonly deny?: ReadonlyArray<string> | null }
    | null
    | undefined
): Rights | undefined =>
  rights === undefined || rights === null ? undefined : { allow: sorted(rights.allow), deny: sorted(rights.deny) }

/** A name that tells more than what it is of. */
const besides = (name: string | undefined, of: string): string | undefined =>
  name === undefined || name === "" || name === of ? undefined : name

export const userInfo = (
  client: NatsClient,
  timeout: Duration.Input = "2 seconds"
): Effect.Effect<UserInfo, RequestError | NotUserInfo> =>
  Effect.flatMap(client.request("$SYS.REQ.USER.INFO", undefined, { timeout }), (message) => {
    const answer = decode(message.text)
    if (Option.isNone(answer)) return Effect.fail(new NotUserInfo({}))
    // Server 2.10 has the token for the user of one, and newer ones this word.
    const open = (text: string | undefined): string | undefined =>
      text === "[REDACTED]" || (text !== undefined && repeatsSecret(text)) ? "" : text
    const { account, account_name, expires, permissions, user, user_name } = answer.value.data
    return Effect.succeed({
      user: open(user) ?? "",
      account,
      userName: besides(open(user_name), user),
      accountName: besides(account_name, account),
      publish: rightsOf(permissions?.publish),
      subscribe: rightsOf(permissions?.subscribe),
      responses: permissions?.responses ?? undefined,
      expiresInMillis: expires === undefined || expires <= 0 ? undefined : expires / 1e6
    })
  })

const listed = (subjects: ReadonlyArray<string>): string => subjects.join(" ")

/** Rights in one line, for people. */
export const rightsText = (rights: Rights | undefined): string => {
  if (rights === undefined || (rights.allow.length === 0 && rights.deny.length === 0)) return "anything"
  const but = rights.deny.length === 0 ? "" : `, but not ${listed(rights.deny)}`
  return `${rights.allow.length === 0 ? "anything" : listed(rights.allow)}${but}`
}

/** How often a client may answer a request, and for how long. */
export const responsesText = (
  responses: { readonly max?: number | undefined; readonly ttlMillis?: number | undefined } | undefined
): string | undefined => {
  if (responses === undefined) return undefined
  const { max = -1, ttlMillis = 0 } = responses
  const times = max < 0 ? "any number of answers" : `${max === 0 ? 1 : max} ${max <= 1 ? "answer" : "answers"}`
  return `${times} to a request${ttlMillis > 0 ? `, for ${ttlMillis / 1000} seconds` : ""}`
}
