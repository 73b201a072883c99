/** Definitions on their way to the wire and back, without a server. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { JetStreamConsumer, JetStreamError, JetStreamStream } from "effect-nats/jetstream"
import { isWritten, merged, writeConsumer, writeStream, type Written } from "../../src/jetstream/internal/definition.ts"
import { differences, differing, unsupported } from "../../src/jetstream/internal/diff.ts"
import { parseExact, stringifyExact, type WireObject } from "../../src/jetstream/internal/exactJson.ts"
import { duration, durationWords, instantWords, size } from "../../src/jetstream/internal/kinds.ts"
import { isBefore } from "../../src/jetstream/internal/needs.ts"
import { noStream, refusedConsumer, refusedStream } from "../../src/jetstream/internal/refusals.ts"

const written = (of: Written | Error): Written => {
  if (of instanceof Error || !isWritten(of)) throw of
  return of
}

const largest = 2n ** 63n - 1n
const Nanos = Schema.BigInt.check(Schema.isBetweenBigInt({ minimum: 1n, maximum: largest }))

describe("JSON of the wire", () => {
  it.prop("keeps whole numbers of any length", { value: Schema.BigInt, other: Schema.Json }, ({ other, value }) => {
    const back = parseExact(stringifyExact({ other, value, list: [value] })) as Record<string, unknown>
    assert.strictEqual(BigInt(back["value"] as number), value)
    assert.deepStrictEqual(BigInt((back["list"] as ReadonlyArray<number>)[0]!), value)
    assert.strictEqual(typeof back["value"], Number.isSafeInteger(Number(value)) ? "number" : "bigint")
    // As text: a whole number that is no safe one comes back as a bigint.
    assert.strictEqual(stringifyExact(back["other"]), stringifyExact(JSON.parse(JSON.stringify(other))))
  })

  it("leaves out what is undefined, and text that looks like a number is text", () => {
    assert.strictEqual(stringifyExact({ a: undefined, b: [undefined], c: null }), "{\"b\":[null],\"c\":null}")
    assert.deepStrictEqual(parseExact("{\"a\":\"12345678901234567890\",\"b\":1.5e300}"), {
      a: "12345678901234567890",
      b: 1.5e300
    })
  })
})

describe("values", () => {
  it.prop(
    "a duration is the same after the wire, and its words are a duration again",
    { nanos: Nanos },
    ({ nanos }) => {
      const wire = parseExact(stringifyExact(duration().encode(Duration.nanos(nanos), "maxAge"))) as number
      const decoded = duration().decode(wire) as Duration.Duration
      assert.strictEqual(Duration.toNanosUnsafe(decoded), nanos)
      assert.strictEqual(duration().encode(durationWords(nanos), "maxAge"), duration().encode(decoded, "maxAge"))
    }
  )

  it.prop("a size is the same after the wire, and its words are a size again", { bytes: Nanos }, ({ bytes }) => {
    const kind = size()
    const wire = kind.encode(bytes, "maxBytes")
    assert.strictEqual(BigInt(wire as number), bytes)
    assert.strictEqual(kind.encode(kind.words(wire), "maxBytes"), wire)
  })

  it("sizes are read as they are written", () => {
    for (const [text, bytes] of [["10 GiB", 10 * 1024 ** 3], ["10GB", 10e9], ["1.5 KiB", 1536], ["7 B", 7]] as const) {
      assert.strictEqual(size().encode(text, ""), bytes)
    }
    for (const text of ["10", "10 GIB", "-1 KiB", "1e3 B", "ten KiB", "1.0001 KiB", Number.NaN, 1.5, -1]) {
      assert.throws(() => size().encode(text, ""), /./, String(text))
    }
  })

  it("the same instant is the same text, in whatever zone and with whatever digits it is written", () => {
    assert.strictEqual(instantWords("2026-01-01T00:00:00.123456789+02:00"), "2025-12-31T22:00:00.123456789Z")
    assert.strictEqual(instantWords("2026-01-01T00:00:00.100Z"), "2026-01-01T00:00:00.1Z")
    assert.strictEqual(instantWords("2026-01-01T00:00:00.000Z"), "2026-01-01T00:00:00Z")
    for (const text of ["2026-01-01", "tomorrow", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"]) {
      assert.isUndefined(instantWords(text), text)
    }
  })

  it("versions are compared by their numbers", () => {
    assert.isTrue(isBefore("2.9.10", "2.10"))
    assert.isFalse(isBefore("2.10.0", "2.10"))
    assert.isFalse(isBefore("2.15.0-preview", "2.11"))
    assert.isTrue(isBefore("1.99.0", "2.0"))
    assert.isFalse(isBefore(undefined, "2.10"))
  })
})

/** What servers answered to a stream and a consumer with nothing declared but their subjects. */
const answers: Readonly<Record<string, { readonly stream: WireObject; readonly consumer: WireObject }>> = {
  "2.9.10": {
    stream: {
      name: "S",
      subjects: ["s.>"],
      retention: "limits",
      max_consumers: -1,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      max_msgs_per_subject: -1,
      max_msg_size: -1,
      discard: "old",
      storage: "memory",
      num_replicas: 1,
      duplicate_window: 120_000_000_000,
      allow_direct: false,
      mirror_direct: false,
      sealed: false,
      deny_delete: false,
      deny_purge: false,
      allow_rollup_hdrs: false
    },
    consumer: {
      durable_name: "c",
      name: "c",
      deliver_policy: "all",
      ack_policy: "explicit",
      ack_wait: 30_000_000_000,
      max_deliver: -1,
      replay_policy: "instant",
      max_waiting: 512,
      max_ack_pending: 1000,
      num_replicas: 0
    }
  },
  "2.15.1": {
    stream: {
      name: "S",
      subjects: ["s.>"],
      retention: "limits",
      max_consumers: -1,
      max_msgs: -1,
      max_bytes: -1,
      max_age: 0,
      max_msgs_per_subject: -1,
      max_msg_size: -1,
      discard: "old",
      storage: "memory",
      num_replicas: 1,
      duplicate_window: 120_000_000_000,
      compression: "none",
      allow_direct: false,
      mirror_direct: false,
      sealed: false,
      deny_delete: false,
      deny_purge: false,
      allow_rollup_hdrs: false,
      consumer_limits: {},
      allow_msg_ttl: false,
      metadata: { "_nats.level": "5", "_nats.req.level": "0", "_nats.ver": "2.15.1" }
    },
    consumer: {
      durable_name: "c",
      name: "c",
      deliver_policy: "all",
      ack_policy: "explicit",
      ack_wait: 30_000_000_000,
      max_deliver: -1,
      replay_policy: "instant",
      max_waiting: 512,
      max_ack_pending: 1000,
      num_replicas: 0,
      metadata: { "_nats.level": "5", "_nats.req.level": "0", "_nats.ver": "2.15.1" }
    }
  }
}

const Limit = Schema.Union([
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1e6 })),
  Schema.Literal("unlimited")
])
const Streams = Schema.Struct({
  description: Schema.optional(Schema.String),
  subjects: Schema.optional(Schema.Array(Schema.Literals(["a", "b.>", "c.*"]))),
  retention: Schema.optional(Schema.Literals(["limits", "interest", "workqueue"])),
  discard: Schema.optional(Schema.Literals(["old", "new"])),
  maxMessages: Schema.optional(Limit),
  maxMessagesPerSubject: Schema.optional(Limit),
  maxBytes: Schema.optional(Limit),
  replicas: Schema.optional(Schema.Literals([1, 3])),
  allowDirect: Schema.optional(Schema.Boolean),
  denyPurge: Schema.optional(Schema.Boolean),
  sealed: Schema.optional(Schema.Boolean),
  compression: Schema.optional(Schema.Literals(["none", "s2"])),
  metadata: Schema.optional(Schema.Record(Schema.Literals(["a", "b"]), Schema.String))
})

describe("what is declared against what is there", () => {
  for (const [version, { consumer, stream }] of Object.entries(answers)) {
    it(`the defaults of ${version} are what is not declared`, () => {
      const defaults = written(writeStream(JetStreamStream.make("S", {
        maxMessages: "unlimited",
        maxBytes: "unlimited",
        maxAge: "Infinity",
        duplicateWindow: "2 minutes",
        compression: "none",
        consumerLimits: "none",
        mirror: "none",
        sources: [],
        republish: "none",
        placement: "none",
        ttl: false,
        counter: false,
        persistMode: "default",
        metadata: {},
        description: ""
      })))
      assert.deepStrictEqual(differing(stream, defaults), [])
      assert.deepStrictEqual(unsupported({}, defaults, version).map(({ field }) => field), [])
      const ofConsumer = written(writeConsumer(JetStreamConsumer.make("S", "c", {
        filter: [],
        from: "all",
        ackWait: "30 seconds",
        maxAckPending: 1000,
        maxDeliver: "unlimited",
        backoff: [],
        priorityPolicy: "none",
        priorityGroups: [],
        sampleFrequency: 0,
        metadata: {}
      })))
      assert.deepStrictEqual(differing(consumer, ofConsumer), [])
      assert.deepStrictEqual(differences(consumer, ofConsumer, { version }), [])
    })

    it.prop(`merged into the answer of ${version} it differs in nothing, and the rest is kept`, { options: Streams }, (
      { options }
    ) => {
      const of = written(writeStream(JetStreamStream.make("S", options as JetStreamStream.StreamOptions)))
      const config = merged(stream, of)
      assert.deepStrictEqual(differing(config, of), [])
      assert.deepStrictEqual(differences(config, of, { version: undefined }), [])
      for (const wire of ["max_consumers", "storage", "num_replicas", "mirror_direct"]) {
        if (of.config[wire] === undefined) assert.deepStrictEqual(config[wire], stream[wire], wire)
      }
      // What is read from it is the same definition.
      assert.sameMembers(
        [...differing(stream, of)],
        differences(stream, of, { version: undefined }).map(({ field }) => field).filter((each) =>
          of.declared.includes(each)
        )
      )
    })
  }
})

describe("errors", () => {
  it("an err_code is told apart by its number and nothing else", () => {
    const error = (errCode: number) =>
      new JetStreamError.JetStreamApiError({ request: "X", errCode, code: 500, description: "stream not found" })
    assert.strictEqual(noStream("S")[10059]!(error(10059))._tag, "StreamNotFound")
    assert.isUndefined(noStream("S")[10014])
    assert.deepInclude({ ...refusedStream("S")[10052]!(error(10052)) }, { stream: "S", errCode: 10052 })
    assert.deepInclude({ ...refusedConsumer("S", "c")[10012]!(error(10012)) }, { consumer: "c", errCode: 10012 })
  })

  it("a report is printable and bounded, whatever was declared or is there", () => {
    const nasty = `\u001b[31m${"x".repeat(5_000)}\n`
    const text = JetStreamStream.formatReport({
      apply: "nothing",
      entries: [{
        of: "stream",
        name: "S",
        stream: "S",
        action: "update",
        done: false,
        changes: [{
          of: "stream",
          name: "S",
          stream: "S",
          field: "description",
          declared: nasty,
          actual: [nasty],
          kind: "inPlace"
        }]
      }]
    })
    assert.notInclude(text, "\u001b")
    assert.strictEqual(text.split("\n").length, 2)
    assert.isBelow(text.length, 600)
  })

  it("what is not provisioned is told in one sentence, and survives a codec", () => {
    const change = {
      of: "stream",
      name: "S",
      stream: "S",
      field: "maxAge",
      declared: "1 day",
      actual: "7 days",
      kind: "losesMessages"
    } as const
    const report = {
      apply: "safe",
      entries: [{ of: "stream", name: "S", stream: "S", action: "update", done: false, changes: [change] }]
    } as const
    const error = new JetStreamError.ProvisionRefused({ changes: [change], report })
    assert.strictEqual(
      error.message,
      "Not provisioned: maxAge of stream \"S\" loses messages (apply: \"lossy\" does it)."
    )
    const encoded = Schema.encodeSync(JetStreamError.ProvisionRefused)(error)
    assert.deepStrictEqual(Schema.decodeSync(JetStreamError.ProvisionRefused)(encoded).report, report)
    assert.strictEqual(
      JetStreamStream.formatReport(report),
      "stream S: to update\n  maxAge: 7 days -> 1 day; loses messages (apply: \"lossy\" does it)"
    )
  })
})
