/** Server URLs. */
import { assert, describe, it } from "@effect/vitest"
import { parseServer } from "../src/internal/config/serverUrl.ts"
import { formatServer, serverUrl } from "../src/internal/protocol/serverAddress.ts"

const shown = (text: string): unknown => {
  const parsed = parseServer(text)
  return typeof parsed === "string" ? parsed : [serverUrl(parsed.address), parsed.userInfo]
}

describe("a server's URL", () => {
  const good: ReadonlyArray<readonly [string, string]> = [
    ["nats://127.0.0.1:4222", "nats://127.0.0.1:4222"],
    ["nats://127.0.0.1", "nats://127.0.0.1:4222"],
    ["127.0.0.1", "nats://127.0.0.1:4222"],
    ["example.com:5222", "nats://example.com:5222"],
    ["NATS://Example.COM/", "nats://example.com:4222"],
    ["tls://example.com", "tls://example.com:4222"],
    ["ws://example.com", "ws://example.com:80"],
    ["wss://example.com", "wss://example.com:443"],
    ["wss://example.com/nats/ws", "wss://example.com:443/nats/ws"],
    ["ws://example.com/a%20b/(c);v=1", "ws://example.com:80/a%20b/(c);v=1"],
    ["ws://example.com/nats?tenant=a/b?&x=%2C", "ws://example.com:80/nats?tenant=a/b?&x=%2C"],
    ["ws://example.com?tenant=a", "ws://example.com:80/?tenant=a"],
    ["nats://[::1]", "nats://[::1]:4222"],
    ["[::1]:5222", "nats://[::1]:5222"],
    ["nats://[fe80::1%25eth0]:4222", "nats://[fe80::1%eth0]:4222"],
    [" nats://my_host \n", "nats://my_host:4222"],
    ["nats://bücher.example", "nats://xn--bcher-kva.example:4222"]
  ]
  for (const [text, url] of good) {
    it(`${JSON.stringify(text)} is ${url}`, () => {
      assert.deepStrictEqual(shown(text), [url, undefined])
      assert.deepStrictEqual(shown(url), [url, undefined])
    })
  }

  const users: ReadonlyArray<readonly [string, unknown]> = [
    ["nats://john:pw@127.0.0.1", { _tag: "UserPassword", user: "john", password: "pw" }],
    ["nats://john:p;w x@127.0.0.1", { _tag: "UserPassword", user: "john", password: "p;w x" }],
    ["john:pw@127.0.0.1:4222", { _tag: "UserPassword", user: "john", password: "pw" }],
    ["nats://t0k3n@127.0.0.1", { _tag: "Token", token: "t0k3n" }],
    ["nats://jo%40hn:p%3Aw%2F%2C%25@127.0.0.1", { _tag: "UserPassword", user: "jo@hn", password: "p:w/,%" }],
    ["nats://john:a:b@127.0.0.1", { _tag: "UserPassword", user: "john", password: "a:b" }],
    ["nats://john:a@b@127.0.0.1", { _tag: "UserPassword", user: "john", password: "a@b" }]
  ]
  for (const [text, userInfo] of users) {
    it(`${text} has user info, which is not in the address`, () => {
      assert.deepStrictEqual(shown(text), ["nats://127.0.0.1:4222", userInfo])
    })
  }

  it("is shown without its query, in which a proxy may take a token", () => {
    const parsed = parseServer("wss://example.com/nats?token=a?b")
    assert.isObject(parsed)
    assert.strictEqual(
      typeof parsed === "string" ? parsed : formatServer(parsed.address),
      "wss://example.com:443/nats?..."
    )
  })

  const bad: ReadonlyArray<readonly [string, RegExp]> = [
    ["", /is empty/],
    ["http://example.com", /the scheme http:\/\/: use ws:\/\/ or wss:/],
    ["tcp://example.com", /the scheme tcp:\/\/: use nats:/],
    ["natss://example.com", /the scheme natss:\/\/: use tls:/],
    ["nats+tls://example.com", /the scheme nats\+tls:\/\/: use tls:/],
    ["c4n4ry://example.com", /^has a scheme that is not known: use nats:\/\/, tls:\/\/, ws:\/\/ or wss:\/\/$/],
    ["nats//a:4222", /without ":\/\/" behind it/],
    ["nats:/a:4222", /without ":\/\/" behind it/],
    ["nats:a:4222", /without ":\/\/" behind it/],
    ["nats: //127.0.0.1: 4222", /white space in its host/],
    ["nats:// a:4222", /white space in its host/],
    ["nats://my nats:4222", /white space in its host/],
    ["nats://a:4222;nats://b:4222", /several URLs without a comma/],
    ["nats://a:4222 nats://b:4222", /several URLs without a comma/],
    ["nats://u:p@a:4222 | nats://u:p@b:4222", /several URLs without a comma/],
    ["a:4222;b:4222", /has a ";" .* a comma/],
    ["nats://nats:tcp://10.96.0.5:4222", /has a URL inside it.*Kubernetes/],
    ["NATS_URL=nats://a:4222", /the name of a variable and "="/],
    ["nats://${NATS_HOST}:4222", /a placeholder/],
    ["nats://$NATS_HOST", /a placeholder/],
    ["nats://{{ .Values.host }}:4222", /a placeholder/],
    ["nats://<host>:4222", /a placeholder/],
    ["nats://undefined:4222", /"undefined", "null" or "NaN" for its host or port/],
    ["nats://null", /for its host or port/],
    ["nats://localhost:NaN", /for its host or port/],
    ["nats://undefined:undefined@a", /"undefined" or "null" in its user info/],
    ["nats://u:$2a$11$W2zko/sS@a", /percent-encode these in the user info/],
    ["nats://", /host/],
    ["nats://:4222", /no host/],
    [":4222", /no host/],
    ["nats://a b", /host/],
    ["nats://-a", /host/],
    ["nats://a..b", /host/],
    ["nats://256.1.1.1", /host/],
    ["nats://[::zz]", /host/],
    ["nats://[127.0.0.1]", /host/],
    ["::1", /brackets/],
    ["nats://::1:4222", /brackets/],
    ["nats://a:0", /port/],
    ["nats://a:65536", /port/],
    ["nats://a:", /port/],
    ["nats://a:4222x", /port/],
    ["nats://a/path", /path/],
    ["ws://a/p#f", /fragment/],
    ["ws://a/50%", /%25/],
    ["ws://a/?q=%zz", /%25/],
    ["ws://a/a b", /percent-encoded/],
    ["ws://a/p?q=é", /percent-encoded/],
    ["ws://a/p?q=a@b", /percent-encode/],
    ["nats://a/?q=1", /query/],
    ["nats://a#f", /query/],
    ["nats://john:p/w@a", /percent-encode/],
    ["nats://john:p%w@a", /%25/],
    ["nats://:pw@a", /begins with a colon: write a token without it/],
    ["nats://john:@a", /user info/],
    ["nats://@a", /user info/],
    ["x".repeat(5000), /4096/]
  ]
  for (const [text, expected] of bad) {
    it(`${JSON.stringify(text.slice(0, 40))} is refused`, () => {
      assert.match(String(shown(text)), expected)
    })
  }
})
