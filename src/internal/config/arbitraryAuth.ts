/**
 * What generated forms of `auth` are made of, for `Arbitrary.schema(NatsAuth)`: bytes become seeds, and JWTs that name
 * them.
 */
import * as Schema from "effect/Schema"
import { AuthMethod } from "../../ConnectError.ts"
import type { NatsAuth } from "../../NatsAuth.ts"
import { encodeUserPublicKey, encodeUserSeed, userKey } from "../identity/nkey.ts"
import { decodeAuth } from "./auth.ts"
import { decodePlain, type Generated, madeFrom } from "./codec.ts"
import * as Defaults from "./defaults.ts"

const recipe = () => {
  const word = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9:@/%,.!"' é-]{1,24}$/))
  // Nothing that stands in quotes: a variable cannot say it.
  const user = Schema.String.check(Schema.isPattern(/^[A-Za-z0-9:@/%,.!é-][A-Za-z0-9:@/%,.!"' é-]{0,23}$/))
  return Schema.Struct({
    method: AuthMethod,
    user,
    secret: word,
    bearer: Schema.Boolean,
    key: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))).check(
      Schema.isMinLength(32),
      Schema.isMaxLength(32)
    )
  })
}

type Recipe = ReturnType<typeof recipe>["Type"]

const fromRecipe = (recipe: Recipe): NatsAuth => {
  const key = Uint8Array.from(recipe.key)
  const seed = encodeUserSeed(key)
  const segment = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")
  const claims = { sub: userKey(key).publicKey, nats: { type: "user", bearer_token: recipe.bearer } }
  const jwt = `${segment({ typ: "JWT", alg: "ed25519-nkey" })}.${segment(claims)}.${encodeUserPublicKey(key)}`
  const input = {
    Anonymous: { _tag: "Anonymous" },
    UserPassword: { _tag: "UserPassword", user: recipe.user, password: recipe.secret },
    Token: { _tag: "Token", token: recipe.secret },
    NKey: { _tag: "NKey", seed },
    Jwt: { _tag: "Jwt", jwt, ...(recipe.bearer ? {} : { seed }) },
    Creds: {
      _tag: "Creds",
      creds: `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n` +
        `-----BEGIN USER NKEY SEED-----\n${seed}\n------END USER NKEY SEED------\n`
    },
    CredsFile: { _tag: "CredsFile", path: `/run/secrets/${encodeUserPublicKey(key)}.creds` }
  }[recipe.method]
  const decoded = decodePlain(input, decodeAuth)
  return decoded._tag === "Success" ? decoded.success : Defaults.anonymous
}

export const generatedAuth: Generated = madeFrom(recipe, fromRecipe)
