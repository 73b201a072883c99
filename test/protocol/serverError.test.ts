import { assert, describe, it } from "@effect/vitest"
import {
  isDenial,
  parsePermissionsViolation,
  saysTooManySubscriptions,
  type ServerErrorKind,
  serverErrorKind,
  serverErrorText
} from "../../src/internal/protocol/serverError.ts"

const kinds: ReadonlyArray<readonly [text: string, kind: ServerErrorKind]> = [
  ["'Authorization Violation'", "AuthorizationViolation"],
  ["Authentication Timeout", "AuthenticationTimeout"],
  ["'Authorization Timeout'", "AuthenticationTimeout"],
  ["'User Authentication Expired'", "AuthenticationExpired"],
  ["USER AUTHENTICATION REVOKED", "AuthenticationRevoked"],
  ["Account Authentication Expired", "AccountAuthenticationExpired"],
  ["maximum connections exceeded", "MaxConnectionsExceeded"],
  ["Maximum Connections Exceeded", "MaxConnectionsExceeded"],
  ["maximum account active connections exceeded", "MaxConnectionsExceeded"],
  ["attempted to connect to route port", "WrongPort"],
  ["attempted to connect to leaf node port", "WrongPort"],
  ["Stale Connection", "StaleConnection"],
  ["Unknown Protocol Operation", "ServerRejected"],
  ["Maximum Payload Violation", "ServerRejected"],
  ["maximum control line exceeded", "ServerRejected"],
  ["Secure Connection - TLS Required", "ServerRejected"],
  ["Connection throttling is active. Please try again later.", "ServerRejected"],
  ["Permissions Violation for Publish to \"b\"", "open"],
  ["permissions violation for subscription to \"Authorization Violation\"", "open"],
  ["Permissions Violation for Publish to \"maximum connections exceeded\"", "open"],
  ["'Invalid Subject'", "open"],
  ["Invalid Publish Subject", "open"],
  ["maximum subscriptions exceeded", "open"],
  ["", "ServerRejected"]
]

describe("serverErrorKind", () => {
  for (const [text, kind] of kinds) {
    it(`${JSON.stringify(text)} is ${kind}`, () => {
      assert.strictEqual(serverErrorKind(text), kind)
    })
  }
})

describe("what an error means", () => {
  it("is told by what came, and not by how it is shown", () => {
    assert.strictEqual(serverErrorKind("'\u001bAuthorization\tViolation\u0000'"), "AuthorizationViolation")
    assert.strictEqual(serverErrorKind(`${"\u0001".repeat(200)}Stale Connection`), "StaleConnection")
    assert.strictEqual(serverErrorKind(`'${"x".repeat(256)} Stale Connection'`), "ServerRejected", "what is not shown")
    assert.isTrue(saysTooManySubscriptions("'maximum\u0000subscriptions exceeded'"))
  })
})

describe("isDenial", () => {
  it("is of what begins so, and not of what has it in a subject", () => {
    assert.isTrue(isDenial("permissions violation for publish to \"a\""))
    assert.isFalse(isDenial("Invalid Subject \"permissions violation\""))
  })
})

describe("serverErrorText", () => {
  it("has no quotes around it, every control character as an escape, and an end", () => {
    assert.strictEqual(serverErrorText("'Authorization Violation'"), "Authorization Violation")
    assert.strictEqual(serverErrorText("'a\rb\u2028c'"), "a\\rb\\u2028c")
    assert.strictEqual(serverErrorText(" it's\u001b[31m\u202e here\r\n"), "it's\\u001b[31m\\u202e here")
    assert.strictEqual(serverErrorText("x".repeat(10_000)), `${"x".repeat(255)}…`)
  })
})

describe("parsePermissionsViolation", () => {
  const forms = [
    ["Permissions Violation for Publish to \"b\"", { operation: "publish", subject: "b" }],
    ["'Permissions Violation for Publish to \"a b\"'", { operation: "publish", subject: "a b" }],
    ["permissions violation for publish to b.c", { operation: "publish", subject: "b.c" }],
    ["Permissions Violation for Subscription to \"x.>\"", { operation: "subscribe", subject: "x.>" }],
    ["Permissions Violation for Subscription to x.*", { operation: "subscribe", subject: "x.*" }],
    [
      "Permissions Violation for Subscription to \"x\" using queue \"qq\"",
      { operation: "subscribe", subject: "x", queue: "qq" }
    ],
    [
      "Permissions Violation for Subscription to x using queue \"qq\"",
      { operation: "subscribe", subject: "x", queue: "qq" }
    ],
    ["Permissions Violation for Subscription to \"live.sub\" (sid \"1\")", {
      operation: "subscribe",
      subject: "live.sub"
    }],
    ["Permissions Violation for Subscription to \"x\", too many tokens", { operation: "subscribe", subject: "x" }],
    ["Permissions Violation for Publish with Reply of \"r.1\"", { operation: "publish", subject: "r.1" }]
  ] as const
  for (const [text, expected] of forms) {
    it(`reads ${text}`, () => {
      assert.deepStrictEqual(parsePermissionsViolation(text), expected)
    })
  }

  it("reads nothing else", () => {
    for (const text of ["", "Authorization Violation", "Permissions Violation", "Invalid Subject"]) {
      assert.isUndefined(parsePermissionsViolation(text))
    }
  })
})
