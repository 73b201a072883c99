/** What the errors of publishing show of texts that strangers wrote. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { ConnectError, NatsError } from "effect-nats"
import { JetStreamError } from "effect-nats/jetstream"
import { rendered } from "../fixtures/rendered.ts"

const hostile = "x\u001b]0;PWNED\u0007\u001b[2J\r\nFORGED\u0085\u009b31m\u2028\u2029\u202e\u2066\ud800\u007f"
// Line feeds are those of stacks and of printed objects.
const unprintable = /(?!\n)[\p{Cc}\u2028\u2029\p{Bidi_Control}\p{Cs}]/u

const errorsOf = (text: string) => {
  const lost = new ConnectError.ConnectionRefused({ server: "nats://a:4222" })
  const refused = new JetStreamError.MessageRefused({ subject: text, errCode: 10054, description: text })
  return [
    new JetStreamError.NotPublished({ subject: text, reason: lost }),
    new JetStreamError.PublishOutcomeUnknown({
      subject: text,
      msgId: text,
      reason: new NatsError.RequestTimedOut({ subject: text, timeoutMillis: 1 })
    }),
    new JetStreamError.NoStreamForSubject({ subject: text }),
    new JetStreamError.StreamFull({ subject: text, stream: text, description: text }),
    new JetStreamError.WrongLastSequence({ subject: text }),
    new JetStreamError.WrongLastMessageId({ subject: text, actual: text }),
    new JetStreamError.WrongStream({ subject: text, expected: text, actual: text }),
    refused,
    new JetStreamError.SinkStopped({ acknowledged: 1, reason: refused }),
    new JetStreamError.BatchNotAllowed({ stream: text }),
    new JetStreamError.BatchRefused({ stream: text, index: 1, errCode: 10201, description: text })
  ]
}

describe("an error of publishing", () => {
  for (const error of errorsOf(hostile)) {
    it.effect(`is printable wherever it is seen: ${error._tag}`, () =>
      Effect.map(rendered(error), (text) => {
        assert.notMatch(text, unprintable)
        assert.notMatch(text, /^FORGED/m)
        assert.notInclude(error.message, "\n")
      }))
  }

  it("has a bounded message and a bounded JSON", () => {
    for (const error of errorsOf("k".repeat(900_000))) {
      assert.isAtMost(error.message.length, 2_500, error._tag)
      assert.isAtMost(JSON.stringify(error).length, 20 * 1_024, error._tag)
    }
  })

  it("can be tried again where nothing was stored and the cause passes, and an unknown one under its id only", () => {
    const [, unknown] = errorsOf("a")
    assert.isTrue(unknown.isRetryable)
    const without = new JetStreamError.PublishOutcomeUnknown({
      subject: "a",
      reason: new NatsError.RequestTimedOut({ subject: "a", timeoutMillis: 1 })
    })
    assert.isFalse(without.isRetryable)
    assert.deepStrictEqual(
      errorsOf("a").filter(({ isRetryable }) => isRetryable).map(({ _tag }) => _tag),
      ["NotPublished", "PublishOutcomeUnknown", "NoStreamForSubject"]
    )
  })
})
