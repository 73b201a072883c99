/** The servers that a client knows: what it learns of them, and what must hold for those that it learned. */
import { assert, describe, it } from "@effect/vitest"
import { parseServer } from "../src/internal/config/serverUrl.ts"
import { type PooledServer, ServerPool } from "../src/internal/connection/serverPool.ts"
import { formatServer, type ServerAddress } from "../src/internal/protocol/serverAddress.ts"

const address = (url: string): ServerAddress => {
  const parsed = parseServer(url)
  return typeof parsed === "string" ? assert.fail(parsed) : parsed.address
}

const poolOf = (...urls: ReadonlyArray<string>): ServerPool => new ServerPool(urls.map(address), true, undefined)

const hosts = (servers: ReadonlyArray<PooledServer>): string => servers.map(({ address }) => address.host).join(" ")

const clear = { encrypted: false, insideTls: false }
const beforeTls = { encrypted: true, insideTls: false }
const insideTls = { encrypted: true, insideTls: true }

const shown = ({ address, hosts }: PooledServer): string => `${formatServer(address)} as ${hosts.join(" or ")}`

describe("a server that another one names", () => {
  const rows: ReadonlyArray<readonly [string, typeof clear, string, string]> = [
    ["tls://nats.example.com", beforeTls, "10.0.0.2:4222", "tls://10.0.0.2:4222 as nats.example.com"],
    ["tls://nats.example.com", beforeTls, "n2.example.com:4222", "tls://n2.example.com:4222 as nats.example.com"],
    ["tls://nats.example.com", insideTls, "10.0.0.2:4222", "tls://10.0.0.2:4222 as nats.example.com or 10.0.0.2"],
    ["tls://nats.example.com", insideTls, "[fd00::2]:4222", "tls://[fd00::2]:4222 as nats.example.com or fd00::2"],
    ["tls://nats.example.com", insideTls, "n2.example.com:4222", "tls://n2.example.com:4222 as n2.example.com"],
    ["nats://nats.example.com", beforeTls, "10.0.0.2:4222", "tls://10.0.0.2:4222 as nats.example.com"],
    ["nats://nats.example.com", insideTls, "10.0.0.2:4222", "tls://10.0.0.2:4222 as nats.example.com or 10.0.0.2"],
    ["nats://nats.example.com", clear, "10.0.0.2:4222", "nats://10.0.0.2:4222 as nats.example.com"],
    ["wss://nats.example.com/ws", insideTls, "10.0.0.2:443", "wss://10.0.0.2:443/ws as nats.example.com or 10.0.0.2"],
    ["ws://nats.example.com", clear, "10.0.0.2:80", "ws://10.0.0.2:80 as nats.example.com"]
  ]
  for (const [from, naming, url, expected] of rows) {
    const how = naming.insideTls ? "inside TLS" : naming.encrypted ? "before TLS" : "without TLS"
    it(`${url}, named by ${from} ${how}, is ${expected}`, () => {
      const pool = poolOf(from)
      pool.learn(pool.order()[0], [url], naming)
      assert.deepStrictEqual(pool.order().slice(1).map(shown), [expected])
    })
  }

  it("hands on the host that was configured, however far it is from it", () => {
    const pool = poolOf("tls://a.example.com", "tls://b.example.com")
    pool.learn(pool.order()[1], ["n2.evil.example:4222"], beforeTls)
    pool.learn(pool.order()[2], ["10.0.0.3:4222", "n4.evil.example:4222"], beforeTls)
    assert.deepStrictEqual(pool.order().slice(2).map(shown), [
      "tls://10.0.0.3:4222 as b.example.com",
      "tls://n4.evil.example:4222 as b.example.com"
    ])
    pool.learn(pool.order()[2], ["10.0.0.5:4222"], insideTls)
    assert.deepStrictEqual(pool.order().slice(2).map(shown), ["tls://10.0.0.5:4222 as b.example.com or 10.0.0.5"])
  })

  it("keeps what it may prove when its address comes in clear again, until another list comes inside TLS", () => {
    const pool = poolOf("tls://a.example.com")
    const [a] = pool.order()
    pool.learn(a, ["b.example.com:4222", "10.0.0.3:4222"], insideTls)
    pool.learn(a, [], beforeTls)
    pool.learn(a, ["b.example.com:4222", "10.0.0.3:4222", "evil.example:4222"], beforeTls)
    assert.deepStrictEqual(pool.order().slice(1).map(shown), [
      "tls://b.example.com:4222 as b.example.com",
      "tls://10.0.0.3:4222 as a.example.com or 10.0.0.3",
      "tls://evil.example:4222 as a.example.com"
    ])
    pool.learn(a, ["10.0.0.3:4222"], insideTls)
    pool.learn(a, ["b.example.com:4222"], beforeTls)
    assert.deepStrictEqual(pool.order().slice(1).map(shown), ["tls://b.example.com:4222 as a.example.com"])
  })

  it("does not come twice, nor in place of one that was configured", () => {
    const pool = poolOf("tls://a.example.com", "tls://10.0.0.2")
    pool.learn(pool.order()[0], ["10.0.0.2:4222", "A.example.com:4222", "10.0.0.3:4222", "10.0.0.3:4222"], insideTls)
    assert.deepStrictEqual(pool.order().map(shown), [
      "tls://a.example.com:4222 as a.example.com",
      "tls://10.0.0.2:4222 as 10.0.0.2",
      "tls://10.0.0.3:4222 as a.example.com or 10.0.0.3"
    ])
  })

  it("is left out when it is no address, and so is every one over 256", () => {
    const pool = poolOf("nats://a")
    const none = [
      "",
      "b",
      ":4222",
      "b:0",
      "b:65536",
      "b:x",
      "a b:4222",
      "u@b:4222",
      "b/c:4222",
      "[::1:4222",
      "nats://b:1"
    ]
    pool.learn(pool.order()[0], [...none, ...Array.from({ length: 300 }, (_, i) => `10.0.0.1:${i + 1}`)], clear)
    assert.strictEqual(pool.order().length, 257)
    assert.isTrue(pool.order().slice(1).every(({ address }) => address.host === "10.0.0.1"))
  })

  it("is forgotten with the next list", () => {
    const pool = poolOf("nats://a")
    pool.learn(pool.order()[0], ["b:4222"], clear)
    pool.learn(pool.order()[0], [], clear)
    assert.deepStrictEqual(pool.order().map(({ address }) => address.host), ["a"])
  })

  it("over WebSocket has the path and the query of the one that named it", () => {
    const pool = new ServerPool([{ scheme: "ws", host: "a", port: 80, path: "/nats?tenant=x" }], true, undefined)
    pool.learn(pool.order()[0], ["b:8080"], clear)
    assert.deepInclude(pool.order()[1].address, { scheme: "ws", host: "b", port: 8080, path: "/nats?tenant=x" })
  })

  it("is not learned where that is turned off", () => {
    const pool = new ServerPool([address("tls://a")], false, undefined)
    pool.learn(pool.order()[0], ["b:4222"], insideTls)
    assert.deepStrictEqual(pool.order().map(({ address }) => address.host), ["a"])
  })
})

describe("a server that had TLS", () => {
  it("needs it from then on, also when it is forgotten and learned again", () => {
    const pool = poolOf("nats://a", "nats://b")
    const [a, b] = pool.order()
    assert.isFalse(a.hadTls || b.hadTls)
    pool.used(a, true)
    pool.used(b, false)
    assert.deepStrictEqual(pool.order().map(({ address, hadTls }) => [address.host, hadTls]), [["a", true], [
      "b",
      false
    ]])
    pool.learn(b, ["c:4222"], clear)
    pool.used(pool.order().find(({ address }) => address.host === "c")!, true)
    pool.learn(b, [], clear)
    pool.learn(b, ["C:4222"], clear)
    assert.isTrue(pool.order().find(({ address }) => address.host === "C")?.hadTls)
    pool.used(pool.order().find(({ address }) => address.host === "a")!, false)
    assert.isTrue(pool.order().find(({ address }) => address.host === "a")?.hadTls)
  })
})

describe("the order", () => {
  const urls = ["nats://a", "nats://b", "nats://c"].map(address)
  const named = ["d:1", "e:1", "f:1"]

  it("is the one given, or one that is drawn once, each as likely as any other", () => {
    assert.strictEqual(hosts(new ServerPool(urls, true, undefined).order()), "a b c")
    const draws = new Map<string, number>()
    // Every draw of three: one of one place, one of two, one of three.
    for (let i = 0; i < 6; i++) {
      const chances = [0, (i % 2) / 2, Math.floor(i / 2) / 3]
      const pool = new ServerPool(urls, true, () => chances.shift()!)
      const order = hosts(pool.order())
      assert.strictEqual(hosts(pool.order()), order)
      draws.set(order, (draws.get(order) ?? 0) + 1)
    }
    assert.strictEqual(draws.size, 6)
  })

  it("of learned servers is drawn when they are learned; those that are known keep their places", () => {
    const chances = [0, 0.99, 0, 0.5, 0.99]
    const pool = new ServerPool([address("nats://a")], true, () => chances.shift()!)
    const [a] = pool.order()
    pool.learn(a, ["d:1", "e:1"], clear)
    assert.strictEqual(hosts(pool.order()), "a e d")
    pool.learn(a, ["d:1", "f:1", "e:1", "g:1"], clear)
    assert.strictEqual(hosts(pool.order()), "a e f d g")
    pool.learn(a, ["g:1", "d:1", "e:1"], clear)
    assert.strictEqual(hosts(pool.order()), "a e d g")
  })

  it("has the one that was used last behind the others that were configured, and learned ones behind that", () => {
    const pool = new ServerPool(urls, true, undefined)
    const [a] = pool.order()
    pool.learn(a, named, clear)
    pool.used(a, false)
    assert.strictEqual(hosts(pool.order()), "b c a d e f")
  })

  it("has one learned server before one that has said that it stops", () => {
    const pool = poolOf("nats://a", "nats://b")
    const [a] = pool.order()
    pool.used(a, false)
    pool.learn(a, named, clear)
    pool.leaves()
    assert.strictEqual(hosts(pool.order()), "b d a e f")
    pool.learn(a, [], clear)
    assert.strictEqual(hosts(pool.order()), "b a")
    pool.used(a, false)
    pool.learn(a, named, clear)
    assert.strictEqual(hosts(pool.order()), "b a d e f")
  })

  it("counts a learned server that worked once like one that was configured", () => {
    const pool = new ServerPool(urls, true, undefined)
    pool.learn(pool.order()[0], named, clear)
    pool.used(pool.order()[4], false)
    assert.strictEqual(hosts(pool.order()), "a b c e d f")
    pool.used(pool.order()[0], false)
    assert.strictEqual(hosts(pool.order()), "b c e a d f")
    assert.deepStrictEqual(pool.round().map(({ patience }) => patience), [1, 1, 1, 1, 0.2, 0.2])
  })
})

describe("a learned server that never worked", () => {
  it("gets a fifth of the time in the first round of an outage, twice as much in each further one, up to all", () => {
    const pool = poolOf("nats://a")
    const [a] = pool.round()
    pool.used(a, false)
    pool.learn(a, ["b:1"], clear)
    const patience = (): ReadonlyArray<number> => pool.round().map(({ patience }) => patience)
    assert.deepStrictEqual([patience(), patience(), patience(), patience(), patience()], [
      [1, 0.2],
      [1, 0.4],
      [1, 0.8],
      [1, 1],
      [1, 1]
    ])
    pool.used(a, false)
    assert.deepStrictEqual(patience(), [1, 0.2])
  })
})
