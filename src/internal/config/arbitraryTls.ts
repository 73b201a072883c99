/**
 * What generated TLS settings are made of, for `Arbitrary.schema(NatsTls)`.
 */
import * as Schema from "effect/Schema"
import type { NatsTls } from "../../NatsTls.ts"
import { decodePlain, type Generated, madeFrom } from "./codec.ts"
import * as Defaults from "./defaults.ts"
import { decodeTls } from "./tls.ts"

const recipe = () => {
  const file = Schema.String.check(Schema.isPattern(/^\/[a-z]{1,8}\/[a-z]{1,8}\.pem$/))
  return Schema.Struct({
    mode: Schema.optionalKey(Schema.Literals(["disable", "prefer", "require"])),
    handshakeFirst: Schema.Boolean,
    serverName: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[a-z]{1,9}\.example\.com$/))),
    caFile: Schema.optionalKey(file),
    client: Schema.optionalKey(Schema.Struct({ certFile: file, keyFile: file })),
    passphrase: Schema.optionalKey(Schema.String.check(Schema.isPattern(/^[A-Za-z0-9 !"]{1,16}$/))),
    dangerouslyDisableVerification: Schema.Boolean
  })
}

type Recipe = ReturnType<typeof recipe>["Type"]

const fromRecipe = ({ client, passphrase, ...recipe }: Recipe): NatsTls => {
  const decoded = decodePlain({
    ...recipe,
    ...client,
    handshakeFirst: recipe.handshakeFirst && recipe.mode !== "disable",
    passphrase: client === undefined ? undefined : passphrase
  }, decodeTls)
  return decoded._tag === "Success" ? decoded.success : Defaults.tls
}

export const generatedTls: Generated = madeFrom(recipe, fromRecipe)
