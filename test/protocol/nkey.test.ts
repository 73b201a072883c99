/** NKeys, with the library of the NATS authors as the oracle. */
import { assert, describe, it } from "@effect/vitest"
import { createUser, fromPublic, fromSeed } from "@nats-io/nkeys"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { decodeUserSeed, encodeUserSeed, userKey } from "../../src/internal/identity/nkey.ts"
import { connectAuth, lacksNonce } from "../../src/internal/wire/connectAuth.ts"

const bytes = Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 255 }))).check(
  Schema.isMinLength(32),
  Schema.isMaxLength(32)
)
const position = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 57 }))
const digit = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 31 }))

const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

const text = (seed: Uint8Array): string => new TextDecoder().decode(seed)

describe("a user seed", () => {
  it.prop("of any key reads as the authors' library reads it", { bytes }, ({ bytes }) => {
    const seed = encodeUserSeed(Uint8Array.from(bytes))
    const raw = decodeUserSeed(seed)
    assert.deepStrictEqual(raw, Uint8Array.from(bytes))
    const theirs = fromSeed(new TextEncoder().encode(seed))
    assert.strictEqual(userKey(Uint8Array.from(bytes)).publicKey, theirs.getPublicKey())
  })

  it.prop("with one changed character is refused", { bytes, position, digit }, ({ bytes, digit, position }) => {
    const seed = encodeUserSeed(Uint8Array.from(bytes))
    const other = base32[digit]
    if (seed[position] !== other) {
      assert.isString(decodeUserSeed(seed.slice(0, position) + other + seed.slice(position + 1)))
    }
  })

  it("ends in a character whose two spare bits are zero: of the four that give its bytes, one", () => {
    for (let byte = 0; byte < 64; byte++) {
      const seed = encodeUserSeed(new Uint8Array(32).fill(byte))
      const at = base32.indexOf(seed[57])
      const taken = Array.from(base32).filter((last) => typeof decodeUserSeed(seed.slice(0, 57) + last) !== "string")
      assert.strictEqual(at & 3, 0)
      assert.deepStrictEqual(taken, [seed[57]])
      // Nor is padding taken, which would make it longer.
      for (const more of ["=", "======", " ", "\n", "A"]) assert.isString(decodeUserSeed(seed + more))
    }
  })

  it("that the authors' library made reads", () => {
    const user = createUser()
    const raw = decodeUserSeed(text(user.getSeed()))
    assert.isNotString(raw)
    assert.strictEqual(typeof raw === "string" ? raw : userKey(raw).publicKey, user.getPublicKey())
  })

  const good = encodeUserSeed(new Uint8Array(32).fill(7))
  const cases: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["that lost a character", good.slice(0, -1), /has 57 characters and a seed has 58/],
    ["in lower case", good.toLowerCase(), /character 1 is not base32/],
    ["with a zero in it", `${good.slice(0, 10)}0${good.slice(11)}`, /character 11 is not base32/],
    ["with two characters exchanged", `${good.slice(0, 20)}X2${good.slice(22)}`, /checksum is wrong/],
    ["that is as long as a seed and none", `P${good.slice(1)}`, /not a seed; a user seed begins with SU/],
    ["of an account", "SAABAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIAQAAAAA", /the seed of an account/],
    ["that is a public key", userKey(new Uint8Array(32)).publicKey, /user's public key/]
  ]
  for (const [name, seed, expected] of cases) {
    it(`${name} is refused, and none of it is told`, () => {
      const problem = decodeUserSeed(seed)
      assert.isString(problem)
      assert.match(String(problem), expected)
      assert.notInclude(String(problem), seed.slice(0, 12))
    })
  }
})

describe("what CONNECT says", () => {
  const raw = new Uint8Array(32).fill(9)
  const seed = Redacted.make(encodeUserSeed(raw))
  const { publicKey } = userKey(raw)

  const signed = (sig: string | undefined, nonce: string): boolean =>
    sig !== undefined && fromPublic(publicKey).verify(new TextEncoder().encode(nonce), Buffer.from(sig, "base64url"))

  it("of an NKey is the public key and the signed nonce", () => {
    const auth = connectAuth({ method: "NKey", source: "auth", seed }, "a-nonce")
    assert.deepStrictEqual(Object.keys(auth), ["nkey", "sig"])
    assert.strictEqual(auth.nkey, publicKey)
    assert.isTrue(signed(auth.sig, "a-nonce"))
    assert.isFalse(signed(auth.sig, "another"))
  })

  it("of a JWT is the JWT and the signed nonce", () => {
    const auth = connectAuth({ method: "Jwt", source: "auth", seed, jwt: Redacted.make("a.b.c") }, "a-nonce")
    assert.deepStrictEqual(Object.keys(auth), ["jwt", "sig"])
    assert.isTrue(signed(auth.sig, "a-nonce"))
  })

  for (const nonce of [undefined, ""]) {
    it(`has no signature where there is nothing to sign (${JSON.stringify(nonce)})`, () => {
      const nkey = { method: "NKey", source: "auth", seed } as const
      const withJwt = { method: "Jwt", source: "auth", seed, jwt: Redacted.make("a.b.c") } as const
      assert.isTrue(lacksNonce(nkey, nonce))
      assert.deepStrictEqual(connectAuth(nkey, nonce), {})
      assert.isFalse(lacksNonce(withJwt, nonce))
      assert.deepStrictEqual(connectAuth(withJwt, nonce), { jwt: "a.b.c" })
      assert.isFalse(lacksNonce(nkey, "a-nonce"))
      assert.isFalse(lacksNonce({ method: "Token", source: "auth", token: Redacted.make("t") }, nonce))
    })
  }

  it("of a bearer JWT is the JWT alone", () => {
    const auth = connectAuth({ method: "Jwt", source: "auth", jwt: Redacted.make("a.b.c") }, "a-nonce")
    assert.deepStrictEqual(auth, { jwt: "a.b.c" })
  })

  it("of a user is the name and the password", () => {
    assert.deepStrictEqual(
      connectAuth({ method: "UserPassword", source: "auth", user: "john", password: Redacted.make("pw") }, undefined),
      { user: "john", pass: "pw" }
    )
  })

  it("of a token is the token, and of nobody nothing", () => {
    assert.deepStrictEqual(connectAuth({ method: "Token", source: "auth", token: Redacted.make("t") }, "n"), {
      auth_token: "t"
    })
    assert.deepStrictEqual(connectAuth({ method: "Anonymous", source: "auth" }, "n"), {})
  })
})
