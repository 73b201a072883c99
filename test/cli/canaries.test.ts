/**
 * Every command, with secrets in every place where one can stand, against every way to fail: in what it prints there are
 * no eight characters of one in a row.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestCertificates, TestNatsServer } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"
import { credsText, identity } from "../fixtures/identity.ts"
import * as Stranger from "../fixtures/stranger.ts"

const password = "Kq7-Zr%w-9t&Yb+Xm=4Lh"
const token = "Vw8.tok.Jd/5%Gs-2Pn_Hc0Qe"
const passphrase = "Fz3Ty-6Ru/%1Ks-8Wd"
const header = "Bq4~Mf9!Lz2/Xv7%Nj5Tg"

/** Commands that connect, each by what makes it do its work. */
const commands: ReadonlyArray<ReadonlyArray<string>> = [
  ["check"],
  ["service", "list"],
  ["service", "info", "orders"],
  ["service", "stats"],
  ["service", "top", "--count", "1"],
  ["sub", "orders.>", "--count", "1", "--timeout", "2 seconds"],
  ["whoami"],
  ["pub", "orders.created", "{}"],
  ["request", "orders.get", "{}"]
]

interface Placed {
  readonly name: string
  readonly env: (url: string) => Readonly<Record<string, string>>
  readonly args?: ReadonlyArray<string>
  readonly secrets: ReadonlyArray<string>
}

const placed = Effect.gen(function*() {
  const john = identity(9)
  const jwt = john.jwt({ name: "john", jti: "Zx6Wq1Rv8Ny3" })
  const creds = credsText(jwt, john.seed)
  const cwd = yield* directory
  const write = (name: string, text: string): string => {
    const file = path.join(cwd, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    fs.writeFileSync(file, text, { mode: 0o600 })
    return file
  }
  const credsFile = write("john.creds", creds)
  const { cert, key } = yield* Effect.flatMap(TestCertificates.authority(), (authority) => authority.issue())
  const keyText = key.replace(/-----[^-]+-----|\s/g, "")
  const context = (name: string, content: Readonly<Record<string, unknown>>): void => {
    write(`nats/context/${name}.json`, JSON.stringify(content))
  }
  const home = { XDG_CONFIG_HOME: cwd }
  const seedFile = write("john.nk", john.seed)
  const fileOf = (name: string) => (url: string): Readonly<Record<string, string>> => {
    write(`${name}.json`, JSON.stringify({ servers: url, auth: { user: "john", password } }))
    return {}
  }
  const contextOf = (content: Readonly<Record<string, unknown>>) => (url: string): Readonly<Record<string, string>> => {
    context("one", { url, ...content })
    return home
  }
  const given: ReadonlyArray<Placed> = [
    {
      name: "NATS_PASSWORD",
      env: (url) => ({ NATS_URL: url, NATS_USER: "john", NATS_PASSWORD: password }),
      secrets: [password]
    },
    { name: "NATS_TOKEN", env: (url) => ({ NATS_URL: url, NATS_TOKEN: token }), secrets: [token] },
    { name: "NATS_NKEY_SEED", env: (url) => ({ NATS_URL: url, NATS_NKEY_SEED: john.seed }), secrets: [john.seed] },
    {
      name: "NATS_JWT",
      env: (url) => ({ NATS_URL: url, NATS_JWT: jwt, NATS_NKEY_SEED: john.seed }),
      secrets: [jwt, john.seed]
    },
    { name: "NATS_CREDS", env: (url) => ({ NATS_URL: url, NATS_CREDS: creds }), secrets: [jwt, john.seed] },
    {
      name: "NATS_CREDS_FILE",
      env: (url) => ({ NATS_URL: url, NATS_CREDS_FILE: credsFile }),
      secrets: [jwt, john.seed]
    },
    { name: "--creds", env: (url) => ({ NATS_URL: url }), args: ["--creds", credsFile], secrets: [jwt, john.seed] },
    {
      name: "user info of NATS_URL",
      env: (url) => ({ NATS_URL: url.replace("//", `//john:${encodeURIComponent(password)}@`) }),
      secrets: [password, encodeURIComponent(password)]
    },
    {
      name: "NATS_TLS_KEY",
      env: (url) => ({
        NATS_URL: url,
        NATS_TLS_MODE: "prefer",
        NATS_TLS_CERT: cert,
        NATS_TLS_KEY: key,
        NATS_TLS_PASSPHRASE: passphrase
      }),
      secrets: [keyText, passphrase]
    },
    {
      name: "NATS_WEBSOCKET_HEADERS",
      env: (url) => ({ NATS_URL: url.replace("nats:", "ws:"), NATS_WEBSOCKET_HEADERS: `authorization: ${header}` }),
      secrets: [header]
    },
    {
      name: "the query of a WebSocket",
      env: (url) => ({ NATS_URL: `${url.replace("nats:", "ws:")}/?access_token=${encodeURIComponent(header)}` }),
      secrets: [encodeURIComponent(header)]
    },
    { name: "a file", env: fileOf("file"), args: ["--config", path.join(cwd, "file.json")], secrets: [password] },
    {
      name: "a context's password",
      env: contextOf({ user: "john", password }),
      args: ["--context", "one"],
      secrets: [password]
    },
    { name: "a context's token", env: contextOf({ token }), args: ["--context", "one"], secrets: [token] },
    { name: "a context's nkey", env: contextOf({ nkey: seedFile }), args: ["--context", "one"], secrets: [john.seed] },
    {
      name: "a context's JWT",
      env: contextOf({ user_jwt: jwt, user_seed: john.seed }),
      args: ["--context", "one"],
      secrets: [jwt, john.seed]
    },
    {
      name: "the selected context",
      env: (url) => {
        write("nats/context.txt", "one")
        return contextOf({ user: "john", password })(url)
      },
      secrets: [password]
    }
  ]
  return { given, cwd, write, john: { ...john, token: jwt }, home }
})

/** The first run of eight characters of a secret that a text has. */
const found = (text: string, secrets: ReadonlyArray<string>): string | undefined => {
  for (const secret of secrets) {
    for (let start = 0; start + 8 <= secret.length; start++) {
      if (text.includes(secret.slice(start, start + 8))) return `from ${start} of ${secret.length}`
    }
  }
  return undefined
}

/** What a stranger makes of a secret, as it is and as JSON or a URL has it. */
const repeated = (
  secret: string
): ReadonlyArray<string> => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]

/** And gives whoever subscribes to orders the one message that it waits for. */
const withMessage = (play: Stranger.Play): Stranger.Play => {
  let given = false
  return (socket, received) => {
    play(socket, received)
    const sid = /\nSUB orders\S* (\d+)\r\n/.exec(received)?.[1]
    if (sid === undefined || given) return
    given = true
    socket.write(`MSG orders.created ${sid} 2\r\nhi\r\n`)
  }
}

const words = (text: string): ReadonlyArray<readonly [place: string, play: Stranger.Play]> => [
  ["-ERR in place of INFO", Stranger.atOnce(`-ERR '${text}'\r\n`)],
  ["words in place of INFO", Stranger.atOnce(`${text}\r\n`)],
  ["-ERR after CONNECT", Stranger.afterConnect(`-ERR 'Authorization Violation ${text}'\r\n`)],
  [
    "the fields of INFO",
    withMessage(Stranger.onceConnected("-ERR 'Stale Connection'\r\n", {
      server_name: text,
      version: text,
      cluster: text,
      domain: text,
      connect_urls: [text]
    }, text))
  ]
]

// They wait for servers that say nothing, too, so several go at once.
describe.concurrent("no canary", () => {
  for (const [number, command] of commands.entries()) {
    it.live(command.join(" "), () =>
      Effect.gen(function*() {
        const { cwd, given } = yield* placed
        const stranger = yield* Stranger.make
        const server = yield* TestNatsServer.make({ users: [{ user: "jane", password: "another-word" }] })
        const leaks: Array<string> = []
        const codes = new Set<number | undefined>()
        let turn = 0
        const look = Effect.fnUntraced(
          function*(url: string, where: string, { args = [], env, name, secrets }: Placed, play?: () => Stranger.Play) {
            if (play !== undefined) stranger.play = play()
            const more = turn++ % 2 === 0 ? [] : ["--json"]
            const words = [...command, ...args, "--connect-timeout", "2 seconds", ...more]
            const finished = yield* run(words, { cwd, env: env(url) })
            codes.add(finished.code)
            const at = found(finished.stdout + finished.stderr, secrets)
            if (at !== undefined) leaks.push(`${name}, ${where}, ${more.join("")}: ${at}`)
          }
        )
        // All of them for one command, and a third for each other one, which stand on the same: each place, each end and
        // each of those commands meet the other two.
        const isFirst = command[0] === "check"
        const chosen = given.filter((_, index) => isFirst || (index + number) % 3 === 0)
        for (const [index, place] of chosen.entries()) {
          const isRefused = (index + number) % 2 === 0
          if (isFirst || !isRefused) yield* look("nats://127.0.0.1:1", "nobody there", place)
          if (isFirst || isRefused) yield* look(server.url, "refused", place)
          // Another form in each place: all of them in all places take too long.
          for (const [which, secret] of place.secrets.entries()) {
            const text = repeated(secret)[(index + which) % 3].slice(0, 400)
            const at = (index + which) % words(text).length
            yield* look(`nats://127.0.0.1:${stranger.port}`, words(text)[at][0], place, () => words(text)[at][1])
          }
        }
        assert.deepStrictEqual(leaks, [])
        // They have failed in more than one way.
        assert.isAtLeast(codes.size, 2)
      }), 240_000)
  }

  it.live("where a secret stands in the wrong place", () =>
    Effect.gen(function*() {
      const { cwd, home, john, write } = yield* placed
      const { seed, token: jwt } = john
      const wrong: ReadonlyArray<readonly [env: Readonly<Record<string, string>>, args: ReadonlyArray<string>]> = [
        [{ NATS_URL: password }, []],
        [{ NATS_URL: `nats://${token}` }, []],
        [{ NATS_URL: `nats://127.0.0.1:${password}` }, []],
        [{ NATS_URL: `nats://john:${password}@127.0.0.1:99999` }, []],
        [{ NATS_NKEY_SEED: password }, []],
        [{ NATS_NKEY_SEED: `${seed.slice(0, -1)}A` }, []],
        [{ NATS_JWT: `${jwt}x.y` }, []],
        [{ NATS_CREDS: seed }, []],
        [{ NATS_CREDS_FILE: seed }, []],
        [{ NATS_CREDS_FILE: credsText(jwt, seed) }, []],
        [{ NATS_TLS_CA_FILE: seed }, []],
        [{ NATS_CONNECT_TIMEOUT: password }, []],
        [{ NATS_USER: "john", NATS_PASSWORD: password, NATS_TOKEN: token }, []],
        [{ NATS_CONTEXT: password }, []],
        [{}, ["--context", seed]],
        [{}, ["--config", seed]],
        [{}, ["--server", token]],
        [{}, ["--creds", seed]],
        [{}, ["--config", write("broken.json", `{"auth":{"user":"john","password":"${password}`)]],
        [{}, ["--config", write("unknown.json", JSON.stringify({ [password]: 1, auth: { pasword: password } }))]],
        [home, ["--context", (write("nats/context/broken.json", `{"url":"x","password":"${password}`), "broken")]],
        [home, ["--context", (write("nats/context/nsc.json", JSON.stringify({ nsc: `nsc://${password}` })), "nsc")]]
      ]
      const leaks: Array<string> = []
      for (const [index, [env, args]] of wrong.entries()) {
        for (const more of [[], ["--json"]]) {
          const { code, stderr, stdout } = yield* run(["check", "--connect-timeout", "2 seconds", ...args, ...more], {
            cwd,
            env
          })
          assert.notStrictEqual(code, 0, String(index))
          const at = found(stdout + stderr, [password, token, seed, jwt])
          if (at !== undefined) {
            leaks.push(`${index} ${more.join("")} ${Object.keys(env).join(" ")} ${args[0] ?? ""}: ${at}`)
          }
        }
      }
      assert.deepStrictEqual(leaks, [])
    }), 240_000)
})
