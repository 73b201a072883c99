/**
 * `effect-nats pub`: messages to a subject, and whether they have arrived.
 */
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import * as JetStream from "../../jetstream/JetStream.ts"
import * as NatsClient from "../../NatsClient.ts"
import { InvalidSubject } from "../../NatsError.ts"
import * as Subject from "../../Subject.ts"
import { connectionFlags, countFlag, jsonFlag, switchFlag, textFlag } from "./flags.ts"
import * as Logs from "./logs.ts"
import { connected, counted } from "./messages/connected.ts"
import { headerFlag, notTogether, payloadArgument, readHeaders, subjectArgument } from "./messages/options.ts"
import { isFromStdin, readLines, readPayload } from "./messages/payload.ts"
import { Publishing } from "./messages/publishing.ts"
import * as Output from "./output.ts"
import type { Source } from "./source.ts"

type Messages<E> = Stream.Stream<NatsClient.OutgoingMessage, E, Stdio.Stdio>

/** What was done of it, which is told of a failure, too. */
interface Done {
  readonly messages: number
  readonly bytes: number
}

/** Tells how many were published, whatever it ends with. */
const telling = <E, R>(
  publishing: Effect.Effect<void, E, R>,
  subject: string,
  json: boolean,
  done: () => Done
): Effect.Effect<void, E, R> => {
  const told = Effect.suspend(() => {
    const { bytes, messages } = done()
    return json
      ? Output.json({ subject, published: messages, bytes }, true)
      : Output.aside(
        `Published ${counted(messages, "message")} (${counted(bytes, "byte")}) to ${Output.shown(subject)}`
      )
  })
  const toldOfSome = Effect.suspend(() => done().messages === 0 ? Effect.void : told)
  return publishing.pipe(Effect.onError(() => toldOfSome), Effect.andThen(told))
}

const toCore = <E>(nats: NatsClient.NatsClient, messages: Messages<E>, subject: string, json: boolean) => {
  const publishing = new Publishing(nats)
  return telling(publishing.all(messages), subject, json, () => ({
    messages: publishing.published,
    bytes: publishing.bytes
  }))
}

const ackText = ({ duplicate, sequence, stream }: JetStream.PubAck): string =>
  duplicate
    ? `Already in stream ${Output.shown(stream)} as ${sequence}: a duplicate\n`
    : `Stored in stream ${Output.shown(stream)} as ${sequence}\n`

const ackJson = ({ domain, duplicate, sequence, stream }: JetStream.PubAck): string =>
  `${Output.safeJson(JSON.stringify({ stream, sequence, duplicate, ...(domain === undefined ? {} : { domain }) }))}\n`

/** Prints each acknowledgement. */
const toJetStream = Effect.fnUntraced(
  function*<E>(
    nats: NatsClient.NatsClient,
    { jetStream }: Source,
    messages: Messages<E>,
    subject: string,
    json: boolean
  ) {
    const js = yield* Effect.provideService(JetStream.make(jetStream), NatsClient.NatsClient, nats)
    let stored = 0
    const text = json ? ackJson : ackText
    const printing = Stream.runForEachArray(js.publishAll(messages), (acks) => {
      stored += acks.length
      return Output.raw(acks.map(text).join(""))
    })
    const told = Effect.suspend(() =>
      json || stored === 0
        ? Effect.void
        : Output.aside(`Published ${counted(stored, "message")} to ${Output.shown(subject)}`)
    )
    yield* printing.pipe(Effect.onError(() => told), Effect.andThen(told))
  }
)

const checkReply = (reply: string) =>
  Effect.mapError(
    Subject.make(reply),
    ({ problem, subject, token }) =>
      new InvalidSubject({ what: "reply", subject, problem, ...(token === undefined ? {} : { token }) })
  )

export const pub = Command.make(
  "pub",
  {
    ...connectionFlags,
    subject: subjectArgument,
    payload: payloadArgument,
    given: headerFlag,
    reply: textFlag("reply", "SUBJECT", "Where an answer is expected"),
    count: countFlag("count", "Publish it so many times"),
    lines: switchFlag("lines", "Publish each line of stdin as a message"),
    jetstream: switchFlag("jetstream", "Wait until a stream has stored each message, and print where"),
    json: jsonFlag
  },
  Effect.fn(
    function*({ count, given, jetstream, json, lines, payload, reply, subject, ...options }) {
      yield* notTogether(
        ["--lines", lines, "PAYLOAD", payload !== undefined && payload !== "-", "the lines of stdin are the payloads"],
        ["--lines", lines, "--count", count !== undefined, "each line is one message"],
        ["--jetstream", jetstream, "--reply", reply !== undefined, "the stream answers to a reply subject of its own"]
      )
      yield* Subject.make(subject)
      if (reply !== undefined) yield* checkReply(reply)
      const headers = yield* readHeaders(given)
      if (lines && process.stdin.isTTY) yield* Output.aside("Each line is published; Ctrl-D ends it.")
      if (!lines && isFromStdin(payload) && process.stdin.isTTY) yield* Output.aside("Reads stdin; Ctrl-D ends it.")
      const message = { subject, headers, reply }
      const body = lines ? "" : yield* readPayload(payload)
      const messages = lines
        ? Stream.map(readLines, (line) => ({ ...message, payload: line }))
        : Stream.map(Stream.range(1, count ?? 1), () => ({ ...message, payload: body }))
      const { nats, source } = yield* connected(options)
      yield* jetstream
        ? toJetStream(nats, source, messages, subject, json)
        : toCore(nats, messages, subject, json)
    },
    Effect.scoped,
    Effect.provide(Logs.news)
  )
).pipe(
  Command.withDescription("Publishes to a subject, and succeeds when the server has handled it"),
  Command.withExamples([
    { command: "effect-nats pub orders.created '{\"id\":7}' --header \"Source: shop\"" },
    { command: "effect-nats pub config.current - < config.json", description: "stdin as one message" },
    { command: "effect-nats pub logs.app --lines < app.log", description: "Each line as a message" },
    { command: "effect-nats pub orders.created '{}' --jetstream", description: "Prints the stream and the sequence" }
  ])
)
