/** What is wrong with a configuration is told at its place, before anything is dialled, and no secret of it is shown. */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestFakeServer, TestNatsServer, TestOperator } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { createPrivateKey } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import { exitCodes } from "../../src/cli/internal/failure.ts"
import { check } from "../fixtures/checking.ts"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { elsewhere } from "../fixtures/elsewhere.ts"

const canary = "CANARY-7c1f"

/** A directory with a context of the `nats` tool in it, and the variable that leads there. */
const contextOf = (keys: Readonly<Record<string, unknown>>, name = "lab") =>
  Effect.map(directory, (home) => {
    fs.mkdirSync(path.join(home, "nats", "context"), { recursive: true })
    const file = path.join(home, "nats", "context", `${name}.json`)
    fs.writeFileSync(file, JSON.stringify(keys), { mode: 0o600 })
    return { env: { XDG_CONFIG_HOME: home }, file, select: path.join(home, "nats", "context.txt") }
  })

const fileOf = (content: unknown) =>
  Effect.map(directory, (made) => {
    const file = path.join(made, "nats.json")
    fs.writeFileSync(file, JSON.stringify(content), { mode: 0o600 })
    return file
  })

/** The problems of a configuration, each as `path: problem`; and in lines of their own for people. */
const problemsOf = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
  Effect.gen(function*() {
    const forPeople = yield* run(["check", ...args], { env })
    const forPrograms = yield* run(["check", ...args, "--json"], { env })
    for (const { code, stderr, stdout } of [forPeople, forPrograms]) {
      assert.strictEqual(code, exitCodes.configuration)
      assert.notInclude(stdout + stderr, canary)
    }
    assert.strictEqual(forPeople.stdout, "")
    const { error } = JSON.parse(forPrograms.stdout)
    assert.strictEqual(error.tag, "NatsConfigError")
    const problems: ReadonlyArray<string> = error.problems.map((each: { path: string; problem: string }) =>
      `${each.path}: ${each.problem}`
    )
    if (problems.length > 1) {
      const lines = forPeople.stderr.trimEnd().split("\n")
      assert.deepStrictEqual(lines.slice(1), problems.map((each) => `  ${each}`))
      assert.include(lines[0], error.source)
    }
    return { problems, source: String(error.source) }
  })

const begins = (problems: ReadonlyArray<string>, starts: ReadonlyArray<string>): void => {
  assert.deepStrictEqual(problems.map((each) => starts.find((start) => each.startsWith(start)) ?? each), starts)
}

describe("each problem is told at once, where it was set:", () => {
  it.live("in a variable, and in an option", () =>
    Effect.gen(function*() {
      const env = { NATS_URL: `ftp://john:${canary}@h`, NATS_TLS_MODE: canary, NATS_MAX_PING_OUT: canary }
      const { problems, source } = yield* problemsOf(["--connect-timeout", "soon"], env)
      begins(problems, [
        "NATS_URL: has a scheme",
        "NATS_TLS_MODE: must be \"disable\"",
        "--connect-timeout: must be a duration",
        "NATS_MAX_PING_OUT: must be a whole number"
      ])
      assert.strictEqual(source, "environment NATS_URL, NATS_TLS_MODE, NATS_MAX_PING_OUT, --connect-timeout")
    }))

  it.live("in a file, at its path", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({
        servers: ["http://h:1", `nats://u:${canary}@h`],
        auth: { user: "john" },
        tls: { mode: canary },
        nam: canary
      })
      const { problems, source } = yield* problemsOf(["--config", file], {})
      begins(problems, [
        "nam: this key is not known: did you mean `name`?",
        "servers[0]: has the scheme http://",
        "auth.password: is missing",
        "tls.mode: must be"
      ])
      assert.strictEqual(source, file)
    }))

  it.live("in a context, at its key", () =>
    Effect.gen(function*() {
      const { env, file } = yield* contextOf({
        url: `http://john:${canary}@h`,
        user: 5,
        password: canary,
        inbox_prefix: `a ${canary}`,
        tls_first: canary
      })
      const { problems, source } = yield* problemsOf(["--context", "lab"], env)
      begins(problems, [
        "url: has the scheme",
        "user: must be text",
        "tls_first: must be true",
        "inbox_prefix: must be"
      ])
      assert.strictEqual(source, `context lab (${file})`)
    }))

  it.live("a file or a context that is not there, or is none", () =>
    Effect.gen(function*() {
      const { env } = yield* contextOf({ nsc: "nsc://a/b/c" })
      begins((yield* problemsOf(["--context", "other"], env)).problems, [": is not there"])
      begins((yield* problemsOf(["--context", "../lab"], env)).problems, [": is no name of a context"])
      const named = yield* problemsOf([], { ...env, NATS_CONTEXT: "../lab" })
      assert.strictEqual(named.source, "NATS_CONTEXT")
      begins((yield* problemsOf(["--context", "lab"], env)).problems, ["nsc: is read by the `nats` tool only"])
      begins((yield* problemsOf(["--config", "/no/such.json"], {})).problems, [": cannot be read"])
      begins((yield* problemsOf(["--config", yield* fileOf([canary])], {})).problems, [": must be"])
    }))
})

describe("the configuration is shown with where each value is from:", () => {
  const shown = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>>) =>
    Effect.map(check(env, ["--server", "127.0.0.1:1", ...args]), ({ report }) => ({
      source: report.configuration.source,
      lines: report.configuration.settings.map(({ from, path, value }) => `${path} ${value} (${from})`)
    }))

  it.live("variables and options", () =>
    Effect.gen(function*() {
      const env = { NATS_USER: "john", NATS_PASSWORD: canary, NATS_CONNECT_TIMEOUT: "3 seconds", NATS_NAME: "orders" }
      assert.deepStrictEqual(yield* shown(["--connect-timeout", "2 seconds"], env), {
        source: "environment NATS_NAME, NATS_USER, NATS_PASSWORD, --server, --connect-timeout",
        lines: [
          "servers nats://127.0.0.1:1 (--server)",
          "name orders (NATS_NAME)",
          "auth.user john (NATS_USER)",
          "auth.password <redacted> (NATS_PASSWORD)",
          "connectTimeout 2 seconds (--connect-timeout)"
        ]
      })
    }))

  it.live("a file, and options on top of it", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({ servers: `nats://john:${canary}@h`, auth: { token: canary }, name: "orders" })
      const { lines, source } = yield* shown(["--config", file], {})
      assert.strictEqual(source, `${file}, --server`)
      assert.deepStrictEqual(lines, [
        "servers nats://127.0.0.1:1 (--server)",
        `auth.token <redacted> (${file}: auth.token)`,
        `name orders (${file}: name)`
      ])
    }))

  it.live("a context: named, by NATS_CONTEXT, and selected", () =>
    Effect.gen(function*() {
      const { env, file, select } = yield* contextOf({
        url: "nats://h",
        user: "john",
        password: canary,
        description: "x"
      })
      const lines = [
        "servers nats://127.0.0.1:1 (--server)",
        "auth.user john (user)",
        "auth.password <redacted> (password)"
      ]
      assert.deepStrictEqual(yield* shown(["--context", "lab"], env), {
        source: `context lab (${file}), --server`,
        lines
      })
      assert.deepStrictEqual(yield* shown([], { ...env, NATS_CONTEXT: "lab" }), {
        source: `NATS_CONTEXT lab (${file}), --server`,
        lines
      })
      fs.writeFileSync(select, "lab\n")
      const { report } = yield* check({ ...env, NATS_URL: "127.0.0.1:1" })
      assert.strictEqual(report.configuration.source, "environment NATS_URL", "variables come first")
      const selected = yield* run(["check", "--connect-timeout", "1 milli"], { env })
      assert.include(selected.stdout, `Configuration: selected context lab (${file}), --connect-timeout\n`)
    }))

  it.live("each kind of credentials of a context", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const user = yield* account.user("u")
      const made = yield* directory
      const [creds, seed] = [path.join(made, "user.creds"), path.join(made, "seed")]
      fs.writeFileSync(creds, user.creds, { mode: 0o600 })
      fs.writeFileSync(seed, `${user.seed}\n`, { mode: 0o600 })
      const cases = [
        [{ token: canary }, "Token"],
        [{ creds }, `CredsFile ${creds}, key ${user.publicKey}, the seed fits, never expires`],
        [{ nkey: seed }, `CredsFile ${seed}, key ${user.publicKey}`],
        [{ user_jwt: user.jwt, user_seed: user.seed }, `Jwt, key ${user.publicKey}, the seed fits, never expires`],
        // A file of this home.
        [{ creds: "~/user.creds" }, `CredsFile ${creds}, key ${user.publicKey}, the seed fits, never expires`]
      ] as const
      for (const [keys, text] of cases) {
        const { env } = yield* contextOf({ url: "127.0.0.1:1", ...keys })
        const { report } = yield* check({ ...env, HOME: made }, ["--context", "lab"])
        assert.strictEqual(report.credentials?.text, text)
      }
    }))

  it.live("nothing is set", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run(["check", "--connect-timeout", "1 milli"])
      assert.include(stdout, "Configuration: --connect-timeout\n  servers         nats://127.0.0.1:4222  (default)\n")
      // What listens at the default port of this machine is not known.
      const { report } = yield* check({})
      assert.strictEqual(report.configuration.source, "the defaults: nothing else is set")
    }))
})

describe("no secret is shown, whatever the source:", () => {
  const secrets = Effect.gen(function*() {
    const operator = yield* TestOperator.make()
    const account = yield* operator.account("A")
    const user = yield* account.user("u")
    const authority = yield* TestCertificates.authority()
    const certificate = yield* authority.issue()
    const key = createPrivateKey(certificate.key).export({
      type: "pkcs8",
      format: "pem",
      cipher: "aes-256-cbc",
      passphrase: canary
    }).toString()
    const tls = { cert: certificate.cert, key, passphrase: canary }
    const auths: ReadonlyArray<Readonly<Record<string, string>>> = [
      { user: "john", password: canary },
      { token: canary },
      { seed: user.seed },
      { jwt: user.jwt, seed: user.seed },
      { creds: user.creds }
    ]
    // Each PEM by its second line: the first one says only what it is.
    const words = [canary, user.seed, user.jwt.slice(-40), key.split("\n")[1]]
    return { auths, tls, user, words }
  })

  const hides = (
    words: ReadonlyArray<string>,
    env: Readonly<Record<string, string>>,
    args: ReadonlyArray<string> = []
  ) =>
    Effect.gen(function*() {
      for (const more of [[], ["--json"]]) {
        const { code, stderr, stdout } = yield* run(["check", ...args, ...more], { env })
        assert.strictEqual(code, exitCodes.unreachable, stdout + stderr)
        for (const word of words) assert.isFalse((stdout + stderr).includes(word))
      }
    })

  const variables: Readonly<Record<string, string>> = {
    user: "NATS_USER",
    password: "NATS_PASSWORD",
    token: "NATS_TOKEN",
    seed: "NATS_NKEY_SEED",
    jwt: "NATS_JWT",
    creds: "NATS_CREDS"
  }

  it.live("variables", () =>
    Effect.gen(function*() {
      const { auths, tls, words } = yield* secrets
      const more = { NATS_TLS_CERT: tls.cert, NATS_TLS_KEY: tls.key, NATS_TLS_PASSPHRASE: canary }
      for (const auth of auths) {
        const env = Object.fromEntries(Object.entries(auth).map(([key, value]) => [variables[key], value]))
        yield* hides(words, { NATS_URL: "127.0.0.1:1", ...env, ...more })
      }
      yield* hides(words, { NATS_URL: `john:${canary}@127.0.0.1:1` })
      yield* hides(words, { NATS_URL: `${canary}@127.0.0.1:1` })
      yield* hides(words, {
        NATS_URL: `ws://127.0.0.1:1/nats?access_token=${canary}`,
        NATS_WEBSOCKET_HEADERS: `authorization: Bearer ${canary}`
      })
    }))

  it.live("a file", () =>
    Effect.gen(function*() {
      const { auths, tls, words } = yield* secrets
      for (const auth of auths) {
        const [tag] = Object.keys(auth)
        const tagged = {
          seed: { _tag: "NKey", ...auth },
          jwt: { _tag: "Jwt", ...auth },
          creds: { _tag: "Creds", ...auth }
        }
        const given = tagged[tag as keyof typeof tagged] ?? auth
        yield* hides(words, {}, ["--config", yield* fileOf({ servers: ["127.0.0.1:1"], auth: given, tls })])
      }
      yield* hides(words, {}, [
        "--config",
        yield* fileOf({
          servers: [`ws://john:${canary}@127.0.0.1:1/?access_token=${canary}`],
          webSocket: { headers: { authorization: `Bearer ${canary}` } }
        })
      ])
    }))

  it.live("a context", () =>
    Effect.gen(function*() {
      const { user, words } = yield* secrets
      const seedFile = path.join(yield* directory, "seed")
      fs.writeFileSync(seedFile, user.seed, { mode: 0o600 })
      for (
        const keys of [
          { user: "john", password: canary },
          { token: canary },
          { user_jwt: user.jwt, user_seed: user.seed },
          { nkey: seedFile },
          { url: `nats://john:${canary}@127.0.0.1:1` }
        ]
      ) {
        const { env } = yield* contextOf({ url: "127.0.0.1:1", ...keys })
        yield* hides(words, env, ["--context", "lab"])
      }
    }))
})

describe("warnings stand on stderr, and the JSON is whole beside them:", () => {
  it.live("a variable that nobody reads", () =>
    Effect.gen(function*() {
      const { stderr } = yield* check({ NATS_URL: "127.0.0.1:1", NATS_SERVERS: canary })
      assert.match(stderr, /^warning: .*NATS_SERVERS.*NATS_URL/)
      assert.notInclude(stderr, canary)
    }))

  it.live("a file that others can read", () =>
    Effect.gen(function*() {
      const file = yield* fileOf({ servers: "127.0.0.1:1", auth: { token: canary } })
      fs.chmodSync(file, 0o644)
      const { stderr } = yield* check({}, ["--config", file])
      assert.match(stderr, /^warning: /)
      assert.include(stderr, file)
    }))

  it.live("a password that goes in clear to another machine", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ users: [{ user: "john", password: canary }] })
      // The address of no machine, led here.
      const here = "const net = process.getBuiltinModule('node:net'); const { connect } = net; net.connect = (o) => " +
        `connect(o.host === '${elsewhere}' ? { ...o, host: '127.0.0.1' } : o)`
      const { code, stderr } = yield* check({
        NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(here)}`,
        NATS_URL: `${elsewhere}:${server.port}`,
        NATS_USER: "john",
        NATS_PASSWORD: canary
      })
      assert.strictEqual(code, 0)
      assert.match(stderr, /^warning: The password went in clear/m)
      assert.notInclude(stderr, canary)
    }))

  it.live("a certificate that nobody verifies", () =>
    Effect.gen(function*() {
      const { cert, key } = yield* TestCertificates.selfSigned()
      const server = yield* TestNatsServer.make({ tls: { cert, key } })
      const { code, report, stderr } = yield* check({
        NATS_URL: server.url,
        NATS_TLS_DANGEROUSLY_DISABLE_VERIFICATION: "true"
      })
      assert.strictEqual(code, 0)
      assert.match(stderr, /^warning: /)
      assert.strictEqual(report.tls?.status, "noted")
      assert.include(report.tls?.more?.join(), "not verified")
    }))
})

describe("credentials that are unusable by themselves are told before anything is dialled:", () => {
  const users = Effect.gen(function*() {
    const operator = yield* TestOperator.make()
    const account = yield* operator.account("A")
    return { account, john: yield* account.user("john"), jane: yield* account.user("jane") }
  })

  /** `check` with a credentials file, or something in its place, and a listener that waits in vain. */
  const refused = (creds: string | undefined, tag: string, says: string, make = fs.writeFileSync) =>
    Effect.gen(function*() {
      const listener = yield* TestFakeServer.make([])
      const file = path.join(yield* directory, "user.creds")
      if (creds !== undefined) make(file, creds, { mode: 0o600 })
      const checked = yield* check({ NATS_URL: listener.url }, ["--creds", file])
      const { credentials, servers } = checked.report
      assert.strictEqual(credentials?.status, "failed")
      assert.strictEqual(credentials?.error?.tag, tag)
      assert.include(credentials?.error?.message, says)
      assert.include(credentials?.error?.message, file)
      assert.strictEqual(checked.code, exitCodes.credentials)
      assert.deepStrictEqual(servers, [])
      assert.strictEqual(yield* listener.accepted, 0)
      const { stdout } = yield* run(["check", "--creds", file], { env: { NATS_URL: listener.url } })
      assert.include(stdout, "FAIL  credentials")
      assert.include(stdout, "Nothing was dialled: exit code 5 (credentials).")
    })

  it.live("an expired JWT", () =>
    Effect.gen(function*() {
      const { account } = yield* users
      yield* refused((yield* account.user("u", { expired: true })).creds, "CredentialsExpired", "expired")
    }))

  it.live("a JWT that is not valid yet", () =>
    Effect.gen(function*() {
      const { account } = yield* users
      yield* refused((yield* account.user("u", { notYetValid: true })).creds, "CredentialsExpired", "valid")
    }))

  it.live("a seed of somebody else", () =>
    Effect.gen(function*() {
      const { jane, john } = yield* users
      yield* refused(john.creds.replace(john.seed, jane.seed), "CredentialsInvalid", "seed")
    }))

  it.live("a file that is not there", () => refused(undefined, "CredentialsUnavailable", "no such file"))

  it.live("a file that cannot be read", () =>
    refused("", "CredentialsUnavailable", "it is", (file) => fs.mkdirSync(String(file))))

  it.live("a file of something else", () =>
    Effect.gen(function*() {
      yield* refused("user: john\n", "CredentialsInvalid", "BEGIN")
      const { key } = yield* TestCertificates.selfSigned()
      yield* refused(key, "CredentialsInvalid", "BEGIN")
    }))
})

describe("credentials that can be used are described:", () => {
  const described = (env: Readonly<Record<string, string>>, args: ReadonlyArray<string> = []) =>
    Effect.map(check({ NATS_URL: "127.0.0.1:1", ...env }, args), ({ report }) => report.credentials!)

  it.live("by their method, whom they are of, until when, and whether the key fits", () =>
    Effect.gen(function*() {
      const operator = yield* TestOperator.make()
      const account = yield* operator.account("A")
      const file = path.join(yield* directory, "user.creds")
      const user = yield* account.user("u", { expiresIn: "40 days" })
      fs.writeFileSync(file, user.creds, { mode: 0o600 })
      const creds = yield* described({}, ["--creds", file])
      assert.match(
        String(creds.text),
        /^CredsFile .*user\.creds, key U\w{55}, the seed fits, expires 20.* \(in (?:39|40) days\)$/
      )
      assert.deepInclude(creds.detail, { method: "CredsFile", file, key: user.publicKey, seedFits: true })

      const soon = yield* account.user("u", { expiresIn: "2 hours" })
      const noted = yield* described({ NATS_CREDS: soon.creds })
      assert.strictEqual(noted.status, "noted")
      assert.deepStrictEqual(noted.more, ["the JWT expires soon"])

      const bearer = yield* account.user("u", { bearer: true })
      const jwt = yield* described({ NATS_JWT: bearer.jwt })
      assert.strictEqual(jwt.text, `Jwt, key ${bearer.publicKey}, a bearer, without a seed, never expires`)

      const { publicKey, seed } = yield* TestOperator.nkey()
      assert.strictEqual((yield* described({ NATS_NKEY_SEED: seed })).text, `NKey, key ${publicKey}`)
      assert.strictEqual((yield* described({ NATS_TOKEN: canary })).text, "Token")
      assert.strictEqual((yield* described({})).text, "Anonymous")
    }))
})
