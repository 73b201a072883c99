/** What `check` tells of a server that can be reached: certificates, addresses, rights, JetStream; and of several. */
import { assert, describe, it } from "@effect/vitest"
import { TestCertificates, TestFakeServer, TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import { exitCodes } from "../../src/cli/internal/failure.ts"
import { check, failureOf, stageIn } from "../fixtures/checking.ts"
import { names, run, start } from "../fixtures/command.ts"
import { until } from "../fixtures/following.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"

const freePort = Effect.map(Effect.scoped(TestFakeServer.make([])), ({ port }) => port)

const both = { names: ["localhost", "127.0.0.1"] }

const withTls = (certificate: TestCertificates.CertificateOptions, more: Partial<TestNatsServer.Tls> = {}) =>
  Effect.gen(function*() {
    const authority = yield* TestCertificates.authority({ name: "Lab authority" })
    const { cert, key } = yield* authority.issue(certificate)
    const server = yield* TestNatsServer.make({ tls: { cert, key, ca: authority.cert, ...more } })
    return { authority, server, env: { NATS_URL: `localhost:${server.port}`, NATS_TLS_CA: authority.cert } }
  })

describe("both certificates of a TLS session are shown", () => {
  it.live("where it came about: names, issuer, end, version and cipher", () =>
    Effect.gen(function*() {
      const { authority, env } = yield* withTls({ ...both, commonName: "broker", expiresIn: "90 days" }, {
        verify: true
      })
      const own = yield* authority.issue({ commonName: "worker", names: ["svc@lab.test"], expiresIn: "3 days" })
      const checked = yield* check({ ...env, NATS_TLS_CERT: own.cert, NATS_TLS_KEY: own.key })
      assert.strictEqual(checked.code, 0, checked.output)
      const { detail, more = [], status, text } = stageIn(checked, "tls")
      assert.match(String(text), /^TLSv1\.\d, \w+/)
      assert.match(
        more.join("\n"),
        /^server: CN=broker, for DNS:localhost, IP Address:127\.0\.0\.1, valid until 20\S+Z \(in (89|90) days\)$/m
      )
      assert.match(more.join("\n"), /^signed by: CN=Lab authority, valid until /m)
      assert.match(more.join("\n"), /^client: CN=worker, for email:svc@lab\.test, valid until /m)
      assert.strictEqual(status, "noted")
      assert.match(more.join("\n"), /^the client's certificate ends 20\S+Z \(in \d+ \w+\)$/m)
      assert.notMatch(more.join("\n"), /^the server's certificate/m)
      const [server, signer] = detail.chain
      assert.strictEqual(server.issuer, "CN=Lab authority")
      assert.strictEqual(signer.subject, "CN=Lab authority")
      assert.match(server.fingerprint256, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
      assert.deepStrictEqual(server.names, ["DNS:localhost", "IP Address:127.0.0.1"])
      assert.strictEqual(detail.client.subject, "CN=worker")
    }))

  it.live("where the server's was not accepted, which shows why", () =>
    Effect.gen(function*() {
      const cases = [
        [{ ...both, commonName: "broker", expired: true }, {}, "has ended", "CERT_HAS_EXPIRED"],
        [
          { commonName: "broker", names: ["other.example"] },
          {},
          "for DNS:other.example",
          "ERR_TLS_CERT_ALTNAME_INVALID"
        ],
        [
          { ...both, commonName: "broker" },
          { NATS_TLS_CA: "" },
          "signed by: CN=Lab authority (which is not known here)",
          "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
        ]
      ] as const
      for (const [certificate, env, says, code] of cases) {
        const made = yield* withTls(certificate)
        const given = { ...made.env, ...env }
        const checked = yield* check(given)
        const failed = failureOf(checked)
        assert.strictEqual(failed.stage, "tls")
        assert.strictEqual(failed.error?.fields["code"], code)
        assert.strictEqual(failed.detail.chain[0].subject, "CN=broker")
        const { stdout } = yield* run(["check"], { env: given })
        assert.include(stdout.replace(/\s+/g, " "), says)
        assert.include(stdout, "server: CN=broker")
      }
    }))

  it.live("of this client before anything is dialled: one that has ended is noted", () =>
    Effect.gen(function*() {
      const authority = yield* TestCertificates.authority()
      const own = yield* authority.issue({ commonName: "worker", expired: true })
      const { report } = yield* check({
        NATS_URL: `127.0.0.1:${yield* freePort}`,
        NATS_TLS_CERT: own.cert,
        NATS_TLS_KEY: own.key
      })
      assert.strictEqual(report.tls?.status, "noted")
      assert.match(String(report.tls?.more?.join("\n")), /^the client's certificate has ended 20\S+Z \(\d+ \w+ ago\)$/m)
    }))
})

describe("every server of the list is checked", () => {
  it.live("one that fails gives its exit code, and the others are told as they are", () =>
    Effect.gen(function*() {
      const good = yield* TestNatsServer.make({ name: "good" })
      const closed = yield* TestNatsServer.make({ token: "t" })
      const nowhere = yield* freePort
      const servers = [good.url, `nats://127.0.0.1:${nowhere}`, closed.url, good.url.replace("127.0.0.1", "localhost")]
      const checked = yield* check({ NATS_URL: servers.join(",") })
      const { report } = checked
      assert.deepStrictEqual(report.servers.map(({ server }) => server), servers, "in the order of the list")
      assert.deepStrictEqual(report.servers.map(({ ok }) => ok), [true, false, false, true])
      assert.strictEqual(failureOf(checked, 1).error?.tag, "ConnectionRefused")
      assert.strictEqual(failureOf(checked, 2).error?.tag, "AuthorizationViolation")
      assert.strictEqual(report.exitCode, exitCodes.unreachable, "that of the first failure")
      const { code, stdout } = yield* run(["check"], { env: { NATS_URL: servers.join(",") } })
      assert.strictEqual(code, exitCodes.unreachable)
      assert.include(stdout, "2 of 4 servers cannot be used: exit code 3 (unreachable).")
      const all = yield* run(["check"], { env: { NATS_URL: `${servers[0]},${servers[3]}` } })
      assert.include(all.stdout, "All 2 servers can be used.")
      assert.strictEqual(all.code, 0)
    }))

  it.live("no other than those of the list: what a server names is told, and not dialled", () =>
    Effect.gen(function*() {
      const other = yield* TestFakeServer.make([])
      const server = yield* TestFakeServer.make([
        { send: TestFakeServer.info({ connect_urls: [`127.0.0.1:${other.port}`] }) },
        { expect: "CONNECT" },
        { end: "FIN" }
      ])
      const checked = yield* check({ NATS_URL: server.url })
      assert.strictEqual(failureOf(checked).error?.tag, "ConnectionReset")
      assert.deepStrictEqual(stageIn(checked, "info").detail.connectUrls, [`127.0.0.1:${other.port}`])
      assert.strictEqual(yield* server.accepted, 1, "once")
      assert.strictEqual(yield* other.accepted, 0)
    }))

  it.live("a name with several addresses: the one that connects, and those that do not", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      // The loopback network has more addresses than one, and the server listens at one of them.
      const env = { NATS_URL: `nats.test:${server.port}`, ...names("127.0.0.9", "127.0.0.1") }
      const checked = yield* check(env)
      assert.strictEqual(checked.code, 0, checked.output)
      assert.deepStrictEqual(stageIn(checked, "lookup").detail.addresses, ["127.0.0.9", "127.0.0.1"])
      const { detail, more } = stageIn(checked, "tcp")
      assert.strictEqual(detail.address, "127.0.0.1")
      assert.deepStrictEqual(detail.failed, [{ address: "127.0.0.9", tag: "ConnectionRefused" }])
      assert.deepStrictEqual(more, [`127.0.0.9:${server.port} failed: ConnectionRefused`])
      // Where none connects, the failure is the one that tells most.
      yield* server.stop
      const failed = failureOf(yield* check(env))
      assert.strictEqual(failed.error?.tag, "ConnectionRefused")
      assert.strictEqual(failed.stage, "tcp")
    }))
})

describe("what a client may do there", () => {
  const john = { user: "john", password: "p" }
  const asJohn = { NATS_USER: "john", NATS_PASSWORD: "p" }
  const may = (permissions: TestNatsServer.Permissions, more: TestNatsServer.Options = {}) =>
    Effect.map(
      TestNatsServer.make({ ...more, users: [{ ...john, permissions }] }),
      ({ url }) => ({ NATS_URL: url, ...asJohn })
    )

  it.live("is told: account, user and rights", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({
        accounts: {
          LAB: {
            users: [{
              ...john,
              permissions: {
                publish: { allow: ["orders.>", "$SYS.REQ.USER.INFO", "$JS.API.INFO"], deny: "orders.secret" },
                subscribe: "_INBOX.>"
              }
            }]
          }
        }
      })
      const checked = yield* check({ NATS_URL: server.url, ...asJohn })
      if (!isAtLeast(server.version, 2, 10)) {
        const { error, status } = stageIn(checked, "account")
        assert.deepInclude({ tag: error?.tag, status }, { tag: "UserInfoNotTold", status: "noted" })
        return
      }
      const { detail, more, text } = stageIn(checked, "account")
      assert.strictEqual(text, "account LAB, user john")
      assert.deepStrictEqual(more, [
        "may publish to $JS.API.INFO $SYS.REQ.USER.INFO orders.>, but not orders.secret",
        "may subscribe to _INBOX.>"
      ])
      assert.deepStrictEqual(detail.publish.deny, ["orders.secret"])
      // Without any: anything.
      const free = yield* TestNatsServer.make({ users: [john] })
      assert.deepStrictEqual(stageIn(yield* check({ NATS_URL: free.url, ...asJohn }), "account").more, [
        "may publish to anything",
        "may subscribe to anything"
      ])
    }))

  it.live("may be nothing of all that: a note, and no failure", () =>
    Effect.gen(function*() {
      for (const permissions of [{ publish: "orders.>" }, { publish: "orders.>", subscribe: "orders.>" }]) {
        const checked = yield* check(yield* may(permissions, { jetstream: true }))
        assert.strictEqual(checked.code, 0, checked.output)
        for (const stage of ["account", "jetstream"]) {
          const { error, status } = stageIn(checked, stage)
          assert.strictEqual(status, "noted")
          assert.strictEqual(error?.tag, "PermissionsViolation", stage)
          assert.include(error?.message, "may not")
        }
        assert.strictEqual(stageIn(checked, "rtt").status, "ok")
      }
    }))

  it.live("is asked ten times how far away the server is", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const asked = Effect.map(check({ NATS_URL: server.url }), (checked) => stageIn(checked, "rtt").detail)
      // A busy machine has no time for ten.
      const { max, median, min } = yield* Effect.repeat(asked, { until: ({ count }) => count === 10 })
      assert.isTrue(0 < min && min <= median && median <= max)
    }))

  it.live("is asked less often where the server is far away, which is no failure", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const proxy = yield* TestNatsProxy.make({ port: server.port })
      yield* proxy.delay("400 millis", "toClient")
      const checked = yield* check({ NATS_URL: proxy.url, NATS_CONNECT_TIMEOUT: "20 seconds" })
      assert.strictEqual(checked.code, 0, checked.output)
      const { count, max, median, min } = stageIn(checked, "rtt").detail
      assert.isTrue(1 <= count && count < 10, String(count))
      assert.isTrue(400 <= min && min <= median && median <= max)
    }))

  it.live("JetStream and its limits, or that there is none", () =>
    Effect.gen(function*() {
      const none = yield* TestNatsServer.make({})
      const checked = yield* check({ NATS_URL: none.url })
      assert.strictEqual(checked.code, 0)
      const without = stageIn(checked, "jetstream")
      assert.deepInclude(without, { status: "noted" })
      assert.strictEqual(without.error?.tag, "JetStreamNotEnabled")

      const some = yield* TestNatsServer.make({
        jetstream: { domain: "hub" },
        config: `accounts {
          LAB { jetstream { max_streams: 5, max_file: 1048576 }, users: [{ user: john, password: p }] }
          BARE { users: [{ user: jane, password: p }] }
        }`
      })
      const lab = stageIn(yield* check({ NATS_URL: some.url, ...asJohn }), "jetstream")
      assert.strictEqual(lab.status, "ok", JSON.stringify(lab))
      assert.match(
        String(lab.text),
        /^domain hub, 0 of 5 streams, 0 consumers, 0 B of 1 MiB on disk, 0 B( of \S+ \S+)? in memory, API level \d$/
      )
      assert.strictEqual(lab.detail.limits.streams, 5)
      const bare = stageIn(yield* check({ NATS_URL: some.url, NATS_USER: "jane", NATS_PASSWORD: "p" }), "jetstream")
      assert.strictEqual(bare.status, "noted")
      assert.strictEqual(bare.error?.tag, "JetStreamNotEnabled")
    }))
})

describe("who does not want to wait", () => {
  it.live("interrupts it, and nothing is left at the server", () =>
    Effect.gen(function*() {
      const listener = yield* TestFakeServer.make([])
      const running = yield* start(["check"], { env: { NATS_URL: listener.url, NATS_CONNECT_TIMEOUT: "1 hour" } })
      yield* running.until((stdout) => stdout.includes("credentials"))
      yield* until(Effect.map(listener.accepted, (accepted) => accepted === 1))
      running.process.kill("SIGINT")
      const { code, stderr, stdout } = yield* running.finished
      assert.strictEqual(code, 130)
      assert.strictEqual(stderr, "")
      assert.notInclude(stdout, "FAIL")
      yield* until(Effect.map(listener.connections, (connections) => connections === 0))
    }))
})

describe("the lines for people", () => {
  it.live("have every stage in its order, its time, and what was found", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({ name: "lab-1" })
      const { code, stderr, stdout } = yield* run(["check"], { env: { NATS_URL: `localhost:${server.port}` } })
      assert.strictEqual(code, 0)
      assert.strictEqual(stderr, "")
      assert.notInclude(stdout, "\u001b")
      const lines = stdout.split("\n")
      assert.strictEqual(lines[0], "Configuration: environment NATS_URL")
      const stages = lines.flatMap((line) => /^ {2}(ok {2}|note|FAIL) {2}(\S+(?: \S+)?)/.exec(line)?.[2] ?? [])
      assert.deepStrictEqual(stages, [
        "credentials",
        "name",
        "TCP",
        "INFO",
        "CONNECT",
        "account",
        "round trip",
        "JetStream"
      ])
      const info = lines.find((line) => line.includes(" INFO "))
      assert.match(String(info), /^ {2}ok {4}INFO {8} +[\d.]+ ms {2}nats-server \S+, "lab-1", at most 1 MiB a message$/)
      assert.strictEqual(lines.at(-2), "The server can be used.")
    }))

  it.live("leave out a server's name that only repeats its id", () =>
    Effect.gen(function*() {
      const server = yield* TestNatsServer.make({})
      const checked = yield* check({ NATS_URL: server.url })
      const { detail, text } = stageIn(checked, "info")
      assert.strictEqual(detail.name, detail.id)
      assert.notInclude(text, detail.id)
    }))

  it.live("are broken at spaces where they are long, and stay whole where there is none", () =>
    Effect.gen(function*() {
      const subjects = Array.from({ length: 40 }, (_, index) => `orders.number-${index}.created`)
      const server = yield* TestNatsServer.make({
        users: [{ user: "john", password: "p", permissions: { publish: [...subjects, "$SYS.REQ.USER.INFO"] } }]
      })
      const name = "a-very-long-name-of-a-server.".repeat(6)
      const env = { NATS_URL: `${server.url},nats://${name}invalid`, NATS_USER: "john", NATS_PASSWORD: "p", ...names() }
      const { stdout } = yield* run(["check"], { env })
      for (const line of stdout.split("\n")) {
        if (line.length > 120) assert.include(line, name)
      }
      if (!isAtLeast(server.version, 2, 10)) return
      const rights = stdout.slice(stdout.indexOf("may publish to"), stdout.indexOf("may subscribe to")).split(/\s+/)
      assert.includeMembers(rights, subjects)
      // The columns of the configuration are not pushed aside by one long value.
      assert.match(stdout, /^ {2}auth\.user {6}john {2,60}\(NATS_USER\)$/m)
    }))
})
