/** What is shown of a failure, where its words and a secret have something in common. */
import { assert, describe, it } from "@effect/vitest"
import { ConnectError } from "effect-nats"
import * as Output from "../../src/cli/internal/output.ts"

describe("the message of a failure", () => {
  Output.guard(["johnpassword"])
  const withheld = "withheld: it repeats a secret"

  it("has its own words", () => {
    const error = new ConnectError.AuthorizationViolation({ server: "nats://127.0.0.1:4222", method: "UserPassword" })
    assert.strictEqual(Output.messageOf(error), error.message)
    assert.include(error.message, "a password")
  })

  it("has no field that repeats the secret, however deep", () => {
    const refused = (server: string) => new ConnectError.AuthorizationViolation({ server, method: "UserPassword" })
    assert.strictEqual(Output.messageOf(refused("nats://johnpassword:4222")), withheld)
    assert.strictEqual(Output.messageOf(refused("nats://johnpass\u001bword.example:4222")), withheld)
    const within = { _tag: "Ended", reason: { attempts: ["an answer with johnpassword"] }, message: "johnpassword" }
    assert.strictEqual(Output.messageOf(within), withheld)
    assert.strictEqual(
      Output.messageOf(Object.assign(new Error("johnpassword"), { _tag: "Other" })),
      withheld
    )
  })
})
