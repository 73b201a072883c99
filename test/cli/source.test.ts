import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { TestCertificates, TestNatsServer, TestOperator } from "../../src/testing/index.ts"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { identity } from "../fixtures/identity.ts"

type Json = Readonly<Record<string, unknown>>

interface Home {
  /** A directory with the contexts in it, and the working directory. */
  readonly home: string
  readonly env: Readonly<Record<string, string>>
}

/** Contexts as the `nats` tool keeps them, and other files beside them. */
const homeWith = (
  contexts: Readonly<Record<string, Json | string>>,
  { files = {}, selected }: {
    readonly selected?: string
    readonly files?: Readonly<Record<string, string>>
  } = {}
) =>
  Effect.map(directory, (home): Home => {
    const contextDirectory = path.join(home, "nats", "context")
    fs.mkdirSync(contextDirectory, { recursive: true })
    for (const [name, content] of Object.entries(contexts)) {
      const text = typeof content === "string" ? content : JSON.stringify(content)
      fs.writeFileSync(path.join(contextDirectory, `${name}.json`), text, { mode: 0o600 })
    }
    if (selected !== undefined) fs.writeFileSync(path.join(home, "nats", "context.txt"), selected)
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(path.join(home, name), text, { mode: 0o600 })
    return { home, env: { XDG_CONFIG_HOME: home } }
  })

const whoami = (
  { env, home }: Home,
  args: ReadonlyArray<string> = [],
  more: Readonly<Record<string, string>> = {}
) => run(["whoami", ...args], { cwd: home, env: { ...env, ...more } })

/** Nothing is dialled for long there. */
const nowhere = "127.0.0.1:1"

/** What a check says of its configuration. */
const configurationOf = Effect.fnUntraced(function*(
  { env, home }: Home,
  args: ReadonlyArray<string> = [],
  more: Readonly<Record<string, string>> = {}
) {
  const { stderr, stdout } = yield* run(["check", "--json", ...args], { cwd: home, env: { ...env, ...more } })
  const told = JSON.parse(stdout)
  assert.isDefined(told.configuration, stdout)
  const settings: Record<string, readonly [string, string]> = {}
  for (const { from, path, value } of told.configuration.settings) settings[path] = [value, from]
  return { source: told.configuration.source, settings, notes: told.configuration.notes, stderr, stdout }
})

describe("a context of the nats tool", () => {
  it.live("connects with a user, a token, an NKey, creds, or a JWT and its seed", () =>
    Effect.gen(function*() {
      const users = yield* TestNatsServer.make({ users: [{ user: "john", password: "s3cr3t-of-john" }] })
      const token = yield* TestNatsServer.make({ token: "t0ken-of-john" })
      const key = yield* TestOperator.nkey()
      const nkeys = yield* TestNatsServer.make({ users: [{ nkey: key.publicKey }] })
      const operator = yield* TestOperator.make()
      const orders = yield* operator.account("orders")
      const alice = yield* orders.user("alice")
      const robot = yield* orders.user("robot", { bearer: true })
      const accounts = yield* TestNatsServer.make({ operator: operator.setup(orders) })
      const home = yield* homeWith({
        // As the tool writes them: every key, and most of them empty.
        john: {
          description: "",
          url: users.url,
          user: "john",
          password: "s3cr3t-of-john",
          token: "",
          nsc: "",
          cert: ""
        },
        both: { url: `nats://${nowhere}, ${users.url}`, user: "john", password: "env://PASSWORD_OF_JOHN" },
        token: { url: token.url, token: "t0ken-of-john" },
        nkey: { url: nkeys.url, nkey: "~/john.nk" },
        creds: { url: accounts.url, creds: "$HOME/alice.creds" },
        file: { url: accounts.url, creds: "file://~/alice.creds" },
        inline: { url: accounts.url, creds: `data:;base64,${Buffer.from(alice.creds).toString("base64")}` },
        jwt: {
          url: accounts.url,
          user_jwt: alice.jwt,
          user_seed: alice.seed,
          color_scheme: "red",
          a_new_key: { x: 1 }
        },
        bearer: { url: accounts.url, user_jwt: robot.jwt }
      }, { files: { "alice.creds": alice.creds, "john.nk": key.seed } })
      const more = { HOME: home.home, PASSWORD_OF_JOHN: "s3cr3t-of-john" }
      const expected: ReadonlyArray<readonly [string, string]> = [
        ["john", "UserPassword"],
        ["both", "UserPassword"],
        ["token", "Token"],
        ["nkey", "NKey"],
        ["creds", "CredsFile"],
        ["file", "CredsFile"],
        ["inline", "Creds"],
        ["jwt", "Jwt"],
        ["bearer", "Jwt"]
      ]
      for (const [name, method] of expected) {
        const { code, stderr, stdout } = yield* whoami(home, ["--context", name, "--json"], more)
        assert.strictEqual(code, 0, `${name}: ${stdout}${stderr}`)
        const told = JSON.parse(stdout)
        assert.strictEqual(told.method, method)
        const file = path.join(home.home, "nats", "context", `${name}.json`)
        assert.strictEqual(told.configuration.source, `context ${name} (${file})`)
        for (const secret of ["s3cr3t", "t0ken", key.seed, alice.seed, alice.jwt, robot.jwt]) {
          assert.notInclude(stdout + stderr, secret)
        }
      }
    }).pipe(Effect.scoped), 120_000)

  it.live("connects over TLS, with the handshake first", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const cert = yield* authority.issue({ names: ["127.0.0.1"] })
      const client = yield* authority.issue({ commonName: "john" })
      const server = yield* TestNatsServer.make({
        tls: { cert: cert.cert, key: cert.key, ca: authority.cert, verify: true }
      })
      const home = yield* homeWith({
        tls: { url: server.url, ca: "~/ca.pem", cert: "file://~/john.pem", key: "$HOME/john.key", tls_first: false },
        half: { url: server.url, ca: "~/ca.pem", cert: "~/john.pem" },
        first: { url: nowhere, tls_first: true }
      }, { files: { "ca.pem": authority.cert, "john.pem": client.cert, "john.key": client.key } })
      const more = { HOME: home.home }
      const { code, stdout } = yield* whoami(home, ["--context", "tls"], more)
      assert.strictEqual(code, 0, stdout)
      const half = yield* whoami(home, ["--context", "half"], more)
      assert.strictEqual(half.code, 2)
      assert.include(half.stderr, "cert: needs its private key")
      const { settings } = yield* configurationOf(home, ["--context", "first"])
      assert.deepStrictEqual(settings["tls.handshakeFirst"], ["true", "tls_first"])
    }).pipe(Effect.scoped))

  it.live("tells each value and the key that it came from, and no secret", () =>
    Effect.gen(function*() {
      const home = yield* homeWith({
        all: {
          url: `nats://${nowhere},nats://127.0.0.1:2`,
          user: "john",
          password: "s3cr3t-of-john",
          creds: "~/other.creds",
          inbox_prefix: "_INBOX_john",
          jetstream_domain: "hub"
        },
        empty: {}
      }, { selected: "all\n" })
      const { notes, settings, source, stderr } = yield* configurationOf(home)
      assert.match(source, /^selected context all \(.*all\.json\)$/)
      assert.deepStrictEqual(settings, {
        servers: [`nats://${nowhere}, nats://127.0.0.1:2`, "url"],
        "auth.user": ["john", "user"],
        "auth.password": ["<redacted>", "password"],
        inboxPrefix: ["_INBOX_john", "inbox_prefix"]
      })
      assert.deepStrictEqual(notes, ["`creds` of the context is not read, as `user` is set"])
      assert.include(stderr, `note: ${notes[0]}.`)
      const { settings: defaults } = yield* configurationOf(home, ["--context", "empty"])
      assert.deepStrictEqual(defaults, { servers: ["nats://127.0.0.1:4222", "default"] })
    }).pipe(Effect.scoped))

  it.live("is one of those that are there, and a near one is named", () =>
    Effect.gen(function*() {
      const home = yield* homeWith({ "prod.eu": {}, staging: {} })
      const cases: ReadonlyArray<readonly [name: string, sentence: string]> = [
        ["stagin", "it is not there: did you mean staging? There are prod.eu, staging"],
        ["x", "it is not there: There are prod.eu, staging"],
        ["../staging", "is no name of a context"],
        ["a/b", "is no name of a context"]
      ]
      for (const [name, sentence] of cases) {
        const { code, stderr, stdout } = yield* whoami(home, ["--context", name])
        assert.strictEqual(code, 2, name)
        assert.include(stderr, sentence)
        assert.strictEqual(stdout, "")
      }
      const none = yield* homeWith({})
      const { stderr } = yield* whoami(none, [], { NATS_CONTEXT: "prod" })
      assert.include(stderr, "(context prod) is invalid: it is not there, and neither is any other context")
      // The tool takes the path of one, too.
      const { source } = yield* configurationOf(
        { ...none, home: home.home },
        ["--context", "nats/context/staging.json", "--server", nowhere]
      )
      assert.strictEqual(source, "context nats/context/staging.json (nats/context/staging.json), --server")
    }).pipe(Effect.scoped))

  it.live.each<readonly [content: Json | string, sentence: string]>([
    [{ nsc: "nsc://o/a/u" }, "nsc: is read by the `nats` tool only"],
    [{ socks_proxy: "socks5://127.0.0.1" }, "socks_proxy: is not supported"],
    [{ creds: "op://vault/item/field" }, "creds: is read by the `nats` tool only, which asks 1Password"],
    [{ creds: "nsc://o/a/u" }, "creds: is read by the `nats` tool only, which asks nsc"],
    [{ creds: "$NO_SUCH_VARIABLE/x.creds" }, "creds: has the variable $NO_SUCH_VARIABLE in it, which is not set"],
    [{ token: "env://NO_SUCH_VARIABLE" }, "token: names a variable that is not set"],
    [{ password: "data:,x", user: "john" }, "password: is no data URI with base64 in it"],
    [{ user: "s3cr3t-of-john" }, "password: is missing, as there is a `user`: set it, or `token` in place of `user`"],
    [{ url: 5 }, "url: "],
    [{ url: "nats://a b" }, "url"],
    [{ creds: 5 }, "creds: must be text"],
    [{ user_jwt: "s3cr3t-of-john" }, "user_jwt: is unusable"],
    [{ ca: "data:;base64,AA==" }, "ca: must be the path of a file"],
    [{ tls_first: "s3cr3t-of-john" }, "tls_first: must be true or false"],
    ["{\n  // s3cr3t-of-john\n}", "it is not JSON at line 2, column 3"],
    ["[1]", "it is JSON, and no object"],
    ["", "it is not JSON at line 1"]
  ])("that is wrong is told by its key: %#", ([content, sentence]) =>
    Effect.gen(function*() {
      const home = yield* homeWith({ wrong: content })
      for (const json of [[], ["--json"]]) {
        const { code, stderr, stdout } = yield* whoami(home, ["--context", "wrong", ...json])
        assert.strictEqual(code, 2, stdout + stderr)
        const message = json.length === 0 ? stderr : JSON.parse(stdout).error.message
        assert.include(message, sentence)
        assert.notInclude(stdout + stderr, "s3cr3t")
      }
    }).pipe(Effect.scoped))

  it.live("that is selected and cannot be read ends the command, and no other is taken", () =>
    Effect.gen(function*() {
      const home = yield* homeWith({ other: {} }, { selected: "gone" })
      const gone = yield* whoami(home)
      assert.strictEqual(gone.code, 2)
      assert.include(gone.stderr, "(context gone) is invalid: it is not there")
      const directoryThere = yield* homeWith({})
      fs.mkdirSync(path.join(directoryThere.home, "nats", "context.txt"))
      const unreadable = yield* whoami(directoryThere)
      assert.strictEqual(unreadable.code, 2)
      assert.include(unreadable.stderr, "has the name of the selected context, and cannot be read (EISDIR)")
    }).pipe(Effect.scoped))

  it.live("with a secret in it that every user can read is warned of", () =>
    Effect.gen(function*() {
      const home = yield* homeWith({ loose: { url: nowhere, token: "t0ken-of-john" }, open: { url: nowhere } })
      for (const name of ["loose", "open"]) {
        fs.chmodSync(path.join(home.home, "nats", "context", `${name}.json`), 0o644)
        const { stderr } = yield* whoami(home, ["--context", name])
        assert.strictEqual(
          stderr.includes("holds a secret, and every user of this machine can read it"),
          name === "loose"
        )
      }
    }).pipe(Effect.scoped))
})

describe("the source of a configuration", () => {
  it.live(
    "is --config, --context, NATS_CONTEXT, the variables, the selected context, the defaults, in this order",
    () =>
      Effect.gen(function*() {
        const home = yield* homeWith(
          { chosen: { url: nowhere }, named: { url: nowhere }, selected: { url: nowhere } },
          { selected: "selected", files: { "nats.json": JSON.stringify({ servers: nowhere }) } }
        )
        const all = { NATS_CONTEXT: "named", NATS_URL: nowhere, NATS_NAME: "x" }
        const steps: ReadonlyArray<
          readonly [ReadonlyArray<string>, Readonly<Record<string, string>>, source: RegExp, note: string | undefined]
        > = [
          [
            ["--config", "nats.json"],
            all,
            /^nats\.json$/,
            "NATS_CONTEXT, NATS_URL, NATS_NAME are set, and not read, as --config is given"
          ],
          [
            ["--context", "chosen"],
            all,
            /^context chosen \(/,
            "NATS_CONTEXT, NATS_URL, NATS_NAME are set, and not read, as --context is given"
          ],
          [[], all, /^NATS_CONTEXT named \(/, "NATS_URL, NATS_NAME are set, and not read, as NATS_CONTEXT is set"],
          [
            [],
            { NATS_URL: nowhere },
            /^environment NATS_URL$/,
            "the selected context selected is not read, as NATS_URL is set: --context selected reads it"
          ],
          [
            ["--server", nowhere],
            {},
            /^--server$/,
            "the selected context selected is not read, as --server is given: --context selected reads it"
          ],
          [[], {}, /^selected context selected \(/, undefined],
          [["--connect-timeout", "2 seconds"], {}, /^selected context selected \(.*\), --connect-timeout$/, undefined]
        ]
        for (const [args, env, source, note] of steps) {
          const found = yield* configurationOf(home, args, env)
          assert.match(found.source, source)
          assert.deepStrictEqual(found.notes, note === undefined ? [] : [note])
          assert.strictEqual(found.stderr, note === undefined ? "" : `note: ${note}.\n`)
        }
        const failing = yield* whoami(home, ["--config", "missing.json"], { NATS_URL: nowhere })
        assert.strictEqual(failing.code, 2)
        assert.match(failing.stderr, /^note: NATS_URL is set, and not read, as --config is given\.\nNatsConfigError: /)
        const none = yield* homeWith({})
        const { code, stdout } = yield* whoami(none, ["--connect-timeout", "1 second"], { NATS_URL: nowhere })
        assert.strictEqual(code, 3)
        assert.strictEqual(stdout, "Configuration: environment NATS_URL, --connect-timeout\n")
      }).pipe(Effect.scoped),
    120_000
  )

  it.live(
    "has options on top: --creds replaces all credentials, and a file replaces PEM text",
    () =>
      Effect.gen(function*() {
        const operator = yield* TestOperator.make()
        const orders = yield* operator.account("orders")
        const alice = yield* orders.user("alice")
        const server = yield* TestNatsServer.make({ operator: operator.setup(orders) })
        const withUser = server.url.replace("nats://", "nats://john:s3cr3t-of-john@")
        const home = yield* homeWith(
          { john: { url: withUser }, op: { url: server.url, creds: "op://vault/item", user_seed: "x" } },
          {
            files: {
              "alice.creds": alice.creds,
              "nats.json": JSON.stringify({ servers: [withUser], auth: { user: "john", password: "s3cr3t-of-john" } }),
              "token.json": JSON.stringify({ servers: server.url, auth: { token: "s3cr3t-of-john" } })
            }
          }
        )
        const creds = ["--creds", "alice.creds"]
        const cases: ReadonlyArray<readonly [ReadonlyArray<string>, Readonly<Record<string, string>>]> = [
          [creds, { NATS_URL: withUser }],
          [creds, { NATS_URL: server.url, NATS_USER: "john", NATS_PASSWORD: "s3cr3t-of-john" }],
          [[...creds, "--context", "john"], {}],
          [[...creds, "--context", "op"], {}],
          [[...creds, "--config", "nats.json"], {}],
          [[...creds, "--config", "token.json"], {}]
        ]
        for (const [args, env] of cases) {
          const { code, stderr, stdout } = yield* whoami(home, [...args, "--json"], env)
          assert.strictEqual(code, 0, stdout + stderr)
          const told = JSON.parse(stdout)
          assert.strictEqual(told.method, "CredsFile")
          assert.deepInclude(told.configuration.settings, { path: "auth.path", value: "alice.creds", from: "--creds" })
          assert.notInclude(stdout + stderr, "s3cr3t")
        }
        const { stderr } = yield* whoami(home, creds, { NATS_URL: withUser })
        assert.strictEqual(stderr, "note: the user info of NATS_URL is not used, as --creds is given.\n")
        const pem = yield* configurationOf(home, ["--tls-ca", "ca.pem"], { NATS_URL: nowhere, NATS_TLS_CA: "no PEM" })
        assert.deepStrictEqual(pem.settings["tls.caFile"], ["ca.pem", "--tls-ca"])
        assert.isUndefined(pem.settings["tls.ca"])
      }).pipe(Effect.scoped),
    120_000
  )

  it.live("is told of by the option, the variable or the key that is wrong", () =>
    Effect.gen(function*() {
      const { seed } = identity(4)
      const home = yield* homeWith({}, {
        files: {
          "list.json": "[]",
          "comment.json": "{ \"servers\": \"a\", } // s3cr3t-of-john",
          "tls.json": "{\"tls\":{\"certFile\":\"x\"}}"
        }
      })
      const cases: ReadonlyArray<
        readonly [ReadonlyArray<string>, Readonly<Record<string, string>>, sentence: string]
      > = [
        [["--tls-cert", "john.pem"], {}, "--tls-cert: needs its private key: give --tls-key"],
        [["--tls-key", "john.key"], {}, "--tls-key: needs its certificate: give --tls-cert"],
        [["--connect-timeout", "s3cr3t-of-john"], {}, "--connect-timeout: must be a duration"],
        [["--server", "nats://a b"], {}, "--server"],
        [["--server", ""], {}, "--server is empty"],
        [["--creds", ""], {}, "--creds is empty"],
        [["--creds", seed], {}, "--creds"],
        [["--config", seed], {}, "--config"],
        [["--config", "missing.json"], {}, "(missing.json) is invalid: it cannot be read: there is no such file"],
        [["--config", os.tmpdir()], {}, "it cannot be read: it is a directory"],
        [["--config", "list.json"], {}, "(list.json) is invalid: it must be an object"],
        [["--config", "comment.json"], {}, "is not JSON at line 1, column 19"],
        [["--config", "tls.json"], {}, "tls.certFile: needs its private key"],
        [[], { NATS_CONNECT_TIMEOUT: "s3cr3t-of-john" }, "NATS_CONNECT_TIMEOUT: must be a duration"],
        [[], { NATS_USER: "john" }, "NATS_PASSWORD"],
        [["--config", "a", "--context", "b"], {}, "two sources"]
      ]
      for (const [args, env, sentence] of cases) {
        const { code, stderr, stdout } = yield* whoami(home, args, env)
        assert.strictEqual(code, 2, stdout + stderr)
        assert.include(stderr, sentence)
        assert.strictEqual(stdout, "")
        for (const secret of ["s3cr3t", seed]) assert.notInclude(stderr, secret)
      }
    }).pipe(Effect.scoped), 120_000)
})
