import { assert, describe, it } from "@effect/vitest"
import { fromSeed } from "@nats-io/nkeys"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { decodeClaims } from "../../src/cli/internal/creds/claims.ts"
import { TestOperator } from "../../src/testing/index.ts"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { credsText, identity } from "../fixtures/identity.ts"
import { withTimes } from "../fixtures/jwtTimes.ts"

/** Files by name, with a mode that only their owner can read by. */
const written = (files: Readonly<Record<string, string | Uint8Array>>, mode = 0o600) =>
  Effect.map(directory, (cwd) => {
    for (const [name, content] of Object.entries(files)) {
      fs.writeFileSync(path.join(cwd, name), content)
      fs.chmodSync(path.join(cwd, name), mode)
    }
    return cwd
  })

const inspect = (cwd: string, ...args: ReadonlyArray<string>) => run(["creds", "inspect", ...args], { cwd })

/** Runs it for people and for programs, and looks for what must not be in either. */
const both = Effect.fnUntraced(function*(cwd: string, file: string, secrets: ReadonlyArray<string>) {
  const text = yield* inspect(cwd, file)
  const json = yield* inspect(cwd, file, "--json")
  for (const each of [text, json]) {
    for (const secret of secrets) assert.notInclude(each.stdout + each.stderr, secret)
  }
  assert.strictEqual(json.code, text.code)
  return { ...text, json: JSON.parse(json.stdout) }
})

const people = Effect.gen(function*() {
  const operator = yield* TestOperator.make()
  const key = yield* TestOperator.nkey("account")
  const orders = yield* operator.account("orders", { signingKeys: [key] })
  return { operator, key, orders }
})

const signed = (seed: string, header: object, claims: object, overClaimsAlone = false): string => {
  const [first, second] = [header, claims].map((each) => Buffer.from(JSON.stringify(each)).toString("base64url"))
  const signature = fromSeed(Buffer.from(seed)).sign(Buffer.from(overClaimsAlone ? second : `${first}.${second}`))
  return `${first}.${second}.${Buffer.from(signature).toString("base64url")}`
}

const lineOf = (stdout: string, label: string): string | undefined =>
  stdout.split("\n").find((line) => line.startsWith(`  ${label}  `))?.slice(label.length + 2).trim()

describe("creds inspect", () => {
  it.live("tells whom credentials are of, who issued them, their dates and rights, and never the seed", () =>
    Effect.gen(function*() {
      const { key, orders } = yield* people
      const alice = yield* orders.user("alice", {
        signingKey: key,
        expiresIn: "1 hour",
        permissions: {
          publish: "orders.>",
          subscribe: { allow: ">", deny: "orders.secret" },
          allowResponses: { max: 3, expires: "5 seconds" }
        },
        networks: ["127.0.0.0/8"],
        maxPayload: 2048,
        maxSubscriptions: 7,
        allowedConnectionTypes: ["STANDARD", "WEBSOCKET"],
        claims: { tags: ["blue"], times: [{ start: "08:00:00", end: "17:00:00" }], times_location: "Europe/Paris" }
      })
      const cwd = yield* written({ "alice.creds": alice.creds })
      const { code, json, stderr, stdout } = yield* both(cwd, "alice.creds", [alice.seed, alice.jwt])
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.match(stdout, /^alice\.creds: the credentials of a user\n/)
      assert.strictEqual(lineOf(stdout, "name"), "alice")
      assert.strictEqual(lineOf(stdout, "key"), alice.publicKey)
      assert.strictEqual(lineOf(stdout, "account"), orders.publicKey)
      assert.strictEqual(lineOf(stdout, "issuer"), `${key.publicKey} (a signing key of the account)`)
      assert.strictEqual(lineOf(stdout, "signature"), "intact")
      assert.match(lineOf(stdout, "expires") ?? "", /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(in (?:59|60) minutes\)$/)
      assert.strictEqual(lineOf(stdout, "seed"), "fits the key")
      assert.strictEqual(lineOf(stdout, "may publish to"), "orders.>")
      assert.strictEqual(lineOf(stdout, "may subscribe to"), ">, but not orders.secret")
      assert.strictEqual(lineOf(stdout, "may answer"), "3 answers to a request, for 5 seconds")
      assert.strictEqual(lineOf(stdout, "limits"), "7 subscriptions, 2 KiB a message")
      assert.strictEqual(lineOf(stdout, "from networks"), "127.0.0.0/8")
      assert.strictEqual(lineOf(stdout, "at times"), "08:00:00 to 17:00:00 (Europe/Paris)")
      assert.strictEqual(lineOf(stdout, "connections"), "STANDARD, WEBSOCKET")
      assert.strictEqual(lineOf(stdout, "tags"), "blue")
      assert.isTrue(json.usable)
      assert.strictEqual(json.seed, "fits")
      assert.strictEqual(json.jwt.account, orders.publicKey)
      assert.deepStrictEqual(json.jwt.user.publish, { allow: ["orders.>"], deny: [] })
      assert.strictEqual(json.exitCode, 0)
    }).pipe(Effect.scoped))

  it.live("reads a JWT alone, a seed alone, a bearer JWT, and stdin", () =>
    Effect.gen(function*() {
      const { orders } = yield* people
      const alice = yield* orders.user("alice")
      const bearer = yield* orders.user("robot", { bearer: true })
      const cwd = yield* written({ "alice.jwt": alice.jwt, "alice.nk": `${alice.seed}\n`, "robot.jwt": bearer.jwt })
      const secrets = [alice.seed, alice.jwt, bearer.jwt]
      const jwt = yield* both(cwd, "alice.jwt", secrets)
      assert.strictEqual(jwt.code, 0)
      assert.match(jwt.stdout, /^alice\.jwt: the JWT of a user\n/)
      assert.strictEqual(lineOf(jwt.stdout, "seed"), "none")
      assert.include(jwt.stdout, "there is no seed in it")
      const seed = yield* both(cwd, "alice.nk", secrets)
      assert.strictEqual(seed.code, 0)
      assert.match(seed.stdout, /^alice\.nk: the NKey seed of a user, without a JWT\n/)
      assert.strictEqual(lineOf(seed.stdout, "key"), alice.publicKey)
      const robot = yield* both(cwd, "robot.jwt", secrets)
      assert.strictEqual(robot.code, 0)
      assert.strictEqual(lineOf(robot.stdout, "bearer"), "yes: the JWT alone lets in")
      assert.strictEqual(lineOf(robot.stdout, "seed"), "none, and none is needed")
      const piped = yield* run(["creds", "inspect", "-"], { input: alice.creds })
      assert.strictEqual(piped.code, 0)
      assert.match(piped.stdout, /^stdin: the credentials of a user\n/)
    }).pipe(Effect.scoped))

  it.live("gives 5 for what no server takes, with the sentence, and what it is", () =>
    Effect.gen(function*() {
      const { operator, orders } = yield* people
      const alice = yield* orders.user("alice")
      const bob = yield* orders.user("bob")
      const [header, payload, signature] = alice.jwt.split(".")
      const claims = JSON.parse(Buffer.from(payload!, "base64url").toString())
      const other = Buffer.from(JSON.stringify({ ...claims, name: "root" })).toString("base64url")
      const selfMade = signed(alice.seed, { typ: "JWT", alg: "ed25519-nkey" }, { ...claims, iss: alice.publicKey })
      const late = withTimes(orders, alice, { exp: 1 })
      const early = withTimes(orders, alice, { nbf: Math.floor(Date.now() / 1000) + 7200 })
      const cases: ReadonlyArray<readonly [string, string, what: string, sentence: string | RegExp]> = [
        ["account.jwt", orders.jwt, "the JWT of an account", "it is the JWT of an account and not of a user"],
        ["operator.jwt", operator.jwt, "the JWT of an operator", "it is the JWT of an operator and not of a user"],
        ["account.nk", orders.seed, "a seed, and of no user", "it is the seed of an account"],
        [
          "expired.creds",
          credsText(late.jwt, alice.seed),
          "the credentials of a user",
          "expired at 1970-01-01T00:00:01"
        ],
        ["early.creds", credsText(early.jwt, alice.seed), "the credentials of a user", "is not valid before 20"],
        [
          "mixed.creds",
          credsText(alice.jwt, bob.seed),
          "the credentials of a user",
          "line 10 are unusable: the seed is of another user"
        ],
        [
          "forged.creds",
          credsText(`${header}.${other}.${signature}`, alice.seed),
          "the credentials of a user",
          "the signature of the JWT is not that of its issuer"
        ],
        [
          "self.creds",
          credsText(selfMade, alice.seed),
          "the credentials of a user",
          "the issuer of the JWT is a user, and an account issues users"
        ]
      ]
      const cwd = yield* written(Object.fromEntries(cases.map(([name, text]) => [name, text])))
      const secrets = [alice.seed, bob.seed, orders.seed, alice.jwt, orders.jwt, operator.jwt]
      for (const [name, , what, sentence] of cases) {
        const { code, json, stderr, stdout } = yield* both(cwd, name, secrets)
        assert.strictEqual(code, 5, name)
        assert.strictEqual(stdout.split("\n")[0], `${name}: ${what}`)
        assert.include(stderr, sentence as string)
        assert.isFalse(json.usable)
        assert.include(json.problems[0].message, sentence as string)
        assert.strictEqual(json.exitCode, 5)
      }
    }).pipe(Effect.scoped), 120_000)

  it.live("tells what is wrong with a file, and what another file is", () =>
    Effect.gen(function*() {
      const alice = identity(7)
      const creds = credsText(alice.jwt(), alice.seed)
      const cwd = yield* written({
        "utf16.creds": Buffer.from(`\uFEFF${creds}`, "utf16le"),
        "base64.creds": Buffer.from(creds).toString("base64"),
        "cut.creds": creds.slice(0, creds.indexOf("------END USER")),
        "empty.creds": "",
        "large.creds": Buffer.alloc(1_048_577, 0x20),
        "public": `${alice.publicKey}\n`,
        "pair.pem": "-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----\n",
        "nats.json": "{}"
      })
      const cases: ReadonlyArray<readonly [string, string]> = [
        ["utf16.creds", "it is UTF-16 text"],
        ["base64.creds", "it is base64 of the text"],
        ["cut.creds", "line 9 are unusable: the block that begins here has no END line"],
        ["empty.creds", "there is nothing in it"],
        ["large.creds", "it is larger than 1 MiB"],
        ["public", "it is the public key of a user"],
        ["pair.pem", "it is PEM"],
        ["nats.json", "it is JSON"],
        ["missing.creds", "there is no such file"],
        [".", "it is a directory"]
      ]
      for (const [name, sentence] of cases) {
        const { code, json, stderr, stdout } = yield* both(cwd, name, [alice.seed])
        assert.strictEqual(code, 5, name)
        assert.strictEqual(stdout, "")
        assert.include(stderr, sentence)
        assert.strictEqual(json.error.class, "credentials")
      }
    }).pipe(Effect.scoped), 120_000)

  it.live("warns of a secret that every user can read, and of none that is no secret", () =>
    Effect.gen(function*() {
      const { orders } = yield* people
      const alice = yield* orders.user("alice")
      const cwd = yield* written({ "alice.creds": alice.creds, "alice.jwt": alice.jwt }, 0o644)
      const creds = yield* inspect(cwd, "alice.creds")
      assert.strictEqual(creds.code, 0)
      assert.include(
        creds.stderr,
        "warning: alice.creds (FILE) holds a secret, and every user of this machine can read it"
      )
      assert.strictEqual((yield* inspect(cwd, "alice.jwt")).stderr, "")
    }).pipe(Effect.scoped))

  it.live("takes no secret in place of the path", () =>
    Effect.gen(function*() {
      const { seed } = identity(3)
      for (const args of [[seed], [seed, "--json"]]) {
        const { code, stderr, stdout } = yield* run(["creds", "inspect", ...args])
        assert.strictEqual(code, 2)
        assert.include(stdout + stderr, "FILE is the content of a file")
        assert.notInclude(stdout + stderr, seed)
      }
    }))
})

describe("claims", () => {
  it.effect("of version 1, which signs the claims alone and has its networks in one text", () =>
    Effect.gen(function*() {
      const { orders } = yield* people
      const alice = identity(9)
      const claims = {
        iss: orders.publicKey,
        sub: alice.publicKey,
        name: "alice",
        type: "user",
        nats: { src: "10.0.0.0/8, 127.0.0.1/32", pub: { allow: ["a"] }, max: -1, payload: -1 }
      }
      const decoded = decodeClaims(signed(orders.seed, { typ: "jwt", alg: "ed25519" }, claims, true))
      assert.strictEqual(decoded?.version, 1)
      assert.strictEqual(decoded?.kind, "user")
      assert.isTrue(decoded?.intact)
      assert.deepStrictEqual(decoded?.user?.networks, ["10.0.0.0/8", "127.0.0.1/32"])
      assert.deepStrictEqual(decoded?.user?.publish, { allow: ["a"], deny: [] })
      assert.isFalse(decodeClaims(signed(orders.seed, { typ: "jwt", alg: "ed25519" }, claims))?.intact)
    }))

  it.effect("of wrong types are left out, and nothing throws", () =>
    Effect.sync(() => {
      const { jwt } = identity(5)
      for (const odd of [null, 1, "x", [], [1, null, {}], { allow: 7, deny: "x" }, true]) {
        const nats = Object.fromEntries(
          [
            "pub",
            "sub",
            "resp",
            "src",
            "times",
            "subs",
            "payload",
            "data",
            "allowed_connection_types",
            "tags",
            "issuer_account"
          ]
            .map((key) => [key, odd])
        )
        const claims = decodeClaims(jwt({ iss: odd, iat: odd, exp: odd, name: odd, nats: { ...nats, type: "user" } }))
        assert.strictEqual(claims?.kind, "user")
        assert.isFalse(claims?.intact)
      }
      for (const text of ["", "a", "a.b", "a.b.c", "...", "e30.bnVsbA.x"]) assert.isUndefined(decodeClaims(text))
    }))

  it.effect("of a token that NATS did not define are told, and not verified", () =>
    Effect.sync(() => {
      const segment = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url")
      const claims = decodeClaims(`${segment({ alg: "RS256" })}.${segment({ sub: "john@example.com", exp: 10 })}.c2ln`)
      assert.strictEqual(claims?.kind, "other")
      assert.strictEqual(claims?.subject, "john@example.com")
      assert.strictEqual(claims?.expiresAt, 10_000)
      assert.isUndefined(claims?.intact)
    }))
})
