/** The forms of `auth`. */
import { assert, describe, it } from "@effect/vitest"
import { NatsAuth, NatsConfig } from "effect-nats"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { decodeOptions } from "../src/internal/operations/options.ts"
import { credsText, identity } from "./fixtures/identity.ts"

const john = identity(1)
const jane = identity(2)
const jwt = john.jwt()
const bearer = john.jwt({ nats: { type: "user", bearer_token: true } })
const creds = credsText(jwt, john.seed)
const secret = (text: string) => Redacted.make(text)

const decode = Schema.decodeUnknownEffect(NatsAuth.NatsAuth)

describe("auth", () => {
  const forms: ReadonlyArray<readonly [string, NatsAuth.Input, NatsAuth.NatsAuth]> = [
    ["Anonymous", { _tag: "Anonymous" }, { _tag: "Anonymous" }],
    ["UserPassword", { _tag: "UserPassword", user: "john", password: "pw" }, {
      _tag: "UserPassword",
      user: "john",
      password: secret("pw")
    }],
    ["Token", { _tag: "Token", token: "t" }, { _tag: "Token", token: secret("t") }],
    ["Token, redacted", { _tag: "Token", token: secret("t") }, { _tag: "Token", token: secret("t") }],
    ["NKey", { _tag: "NKey", seed: john.seed }, { _tag: "NKey", seed: secret(john.seed) }],
    ["Jwt", { _tag: "Jwt", jwt, seed: john.seed }, { _tag: "Jwt", jwt: secret(jwt), seed: secret(john.seed) }],
    ["Jwt of a bearer", { _tag: "Jwt", jwt: bearer }, { _tag: "Jwt", jwt: secret(bearer) }],
    ["Creds", { _tag: "Creds", creds }, { _tag: "Creds", creds: secret(creds) }],
    ["CredsFile", { _tag: "CredsFile", path: "/j.creds" }, { _tag: "CredsFile", path: "/j.creds" }],
    ["Panini's user and password", { user: "john", password: "johnpassword" }, {
      _tag: "UserPassword",
      user: "john",
      password: secret("johnpassword")
    }],
    ["Panini's token", { token: "t" }, { _tag: "Token", token: secret("t") }],
    ["Panini's user_credentials", { user_credentials: "/j.creds" }, { _tag: "CredsFile", path: "/j.creds" }],
    ["Panini's nkeys_seed", { nkeys_seed: "/j.nk" }, { _tag: "CredsFile", path: "/j.nk" }],
    ["Panini's nkeys_seed_str", { nkeys_seed_str: john.seed }, { _tag: "NKey", seed: secret(john.seed) }]
  ]
  for (const [name, input, expected] of forms) {
    it.effect(`takes ${name}`, () =>
      Effect.gen(function*() {
        const auth = yield* decode(input)
        assert.isTrue(Equal.equals(auth, expected))
        assert.isTrue(Equal.equals(yield* decode(auth), expected))
        const config = yield* NatsConfig.decode({ auth: input })
        assert.isTrue(Equal.equals(config.auth, expected))
      }))
  }

  const faults: ReadonlyArray<readonly [string, unknown, string, RegExp]> = [
    ["text", "t0k3n", "auth", /must be an object such as/],
    ["a redacted value", secret("t"), "auth", /a redacted value/],
    ["an array", [], "auth", /an array/],
    ["an Effect in what should be data", Effect.succeed({ token: "t" }), "auth", /is an Effect.*NatsClient\.layer/],
    ["nothing in it", {}, "auth", /names no method.*Anonymous/],
    ["a user alone", { user: "john" }, "auth.password", /is missing/],
    ["a password alone", { password: "pw" }, "auth.user", /is missing/],
    ["an empty password", { user: "john", password: "" }, "auth.password", /must not be empty/],
    [
      "a password with the line break of a file",
      { user: "john", password: "pw\n" },
      "auth.password",
      /ends with a line break/
    ],
    [
      "a user and a token",
      { user: "john", password: "pw", token: "t" },
      "auth",
      /`user` and `password` and `token`.*different/
    ],
    ["two files", { user_credentials: "/a", nkeys_seed: "/b" }, "auth", /`user_credentials` and `nkeys_seed`/],
    ["a pair of files", { user_credentials: ["/a.jwt", "/a.nk"] }, "auth.user_credentials", /_tag: "Jwt"/],
    ["a seed without a tag", { seed: john.seed }, "auth", /_tag: "NKey"/],
    ["a JWT without a tag", { jwt, seed: john.seed }, "auth", /_tag: "Jwt"/],
    ["a mixture without a tag", { seed: john.seed, token: "t" }, "auth", /fit no method/],
    [
      "a tag that is nearly one",
      { _tag: "userpassword", user: "j", password: "p" },
      "auth._tag",
      /did you mean UserPassword/
    ],
    ["a tag that is none", { _tag: "Basic" }, "auth._tag", /one of Anonymous, UserPassword/],
    [
      "a key of another form",
      { _tag: "Token", token: "t", user: "j" },
      "auth.user",
      /does not belong to Token.*UserPassword/
    ],
    ["a key with a typing error", { user: "j", pasword: "p" }, "auth.pasword", /did you mean `password`/],
    ["a key of another client", { user: "j", pass: "p" }, "auth.pass", /use `password`/],
    [
      "another option of nats.py",
      { token: "t", max_reconnect_attempts: 5 },
      "auth.max_reconnect_attempts",
      /reconnect\.maxAttempts/
    ],
    [
      "a seed with a typing error",
      { _tag: "NKey", seed: john.seed.replace("SU", "SV") },
      "auth.seed",
      /is no user seed/
    ],
    ["a JWT without its seed", { _tag: "Jwt", jwt }, "auth.seed", /needs its seed/],
    ["a JWT with another's seed", { _tag: "Jwt", jwt, seed: jane.seed }, "auth.seed", /another user/],
    ["a JWT that is none", { _tag: "Jwt", jwt: "jwt" }, "auth.jwt", /three parts/],
    [
      "creds with another's seed",
      { _tag: "Creds", creds: credsText(jwt, jane.seed) },
      "auth.creds",
      /line 10.*another user/
    ],
    ["creds in UTF-16", { _tag: "Creds", creds: creds.replace(/./gs, "$&\0") }, "auth.creds", /UTF-16.*as UTF-8/],
    ["creds as a path", { _tag: "CredsFile", path: creds }, "auth.path", /content of a file.*Creds/]
  ]
  for (const [name, auth, path, expected] of faults) {
    it(`with ${name} is refused at ${path}`, () => {
      const decoded = NatsConfig.decodeResult({ auth })
      const problems = Result.isFailure(decoded) ? decoded.failure.problems : []
      const problem = problems.find((problem) => problem.path === path)
      assert.match(problem?.problem ?? JSON.stringify(problems), expected)
    })
  }

  it("takes an Effect in code, as it is", () => {
    const source = Effect.succeed({ token: "t" })
    assert.strictEqual(Effect.runSync(decodeOptions({ auth: source })).auth, source)
  })

  it.effect("that is an Effect clashes with user info in a URL", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(
        decodeOptions({ servers: "nats://john:pw@127.0.0.1", auth: Effect.succeed({ token: "t" }) })
      )
      assert.deepStrictEqual(error.problems.map(({ path }) => path), ["auth"])
    }))
})
