/**
 * `effect-nats sub`: the messages of subjects, as they come.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { NatsClient } from "../../NatsClient.ts"
import * as Subject from "../../Subject.ts"
import { connectionFlags, countFlag, jsonFlag, switchFlag, textFlag, timeFlag } from "./flags.ts"
import * as Logs from "./logs.ts"
import { connected } from "./messages/connected.ts"
import { messageForm } from "./messages/forms.ts"
import { notTogether } from "./messages/options.ts"
import { Printer, slowReader } from "./messages/printing.ts"
import * as Output from "./output.ts"

/** Messages that may wait for the reader of stdout. Their bytes have the client's own bound. */
const capacity = 524_288

/** How long what was received may take to be written once it is over. */
const leaveWithin: Duration.Input = "5 seconds"

interface SubOptions {
  readonly subjects: ReadonlyArray<string>
  readonly queue: string | undefined
  readonly count: number | undefined
  readonly timeout: Duration.Duration | undefined
}

/** Prints until it has had its messages or its time. What was received before an end is written. */
const printed = Effect.fnUntraced(
  function*(nats: NatsClient, { count, queue, subjects, timeout }: SubOptions, printer: Printer) {
    const subscriptions = yield* Effect.forEach(
      subjects,
      (subject) => nats.subscription(subject, { queue, capacity, max: count })
    )
    yield* Output.aside(
      `Subscribed to ${Output.shown(subjects.join(", "))}${
        queue === undefined ? "" : `, queue group ${Output.shown(queue)}`
      }`
    )
    const printing = Effect.forEach(subscriptions, ({ stream }) => printer.print(stream), {
      concurrency: "unbounded",
      discard: true
    })
    const fiber = yield* Effect.forkScoped(Effect.raceFirst(printing, Deferred.await(printer.isFull)))
    const left = Effect.forEach(subscriptions, ({ drain }) => drain, { concurrency: "unbounded", discard: true }).pipe(
      Effect.andThen(Fiber.await(fiber)),
      Effect.interruptible,
      Effect.timeoutOption(leaveWithin)
    )
    const whole = Effect.onInterrupt(Fiber.join(fiber), () => left)
    yield* timeout === undefined ? whole : Effect.timeoutOption(whole, timeout)
  }
)

export const sub = Command.make(
  "sub",
  {
    ...connectionFlags,
    subjects: Argument.String("subject").pipe(
      Argument.withDescription("A subject, with * for a token and > for the rest"),
      Argument.atLeast(1)
    ),
    queue: textFlag("queue", "NAME", "Share the messages with others in this queue group"),
    count: countFlag("count", "End after so many messages"),
    timeout: timeFlag("timeout", "End after this time"),
    headers: switchFlag("headers", "Show the headers of messages"),
    raw: switchFlag("raw", "Print the bytes of the payload and a line break, nothing else"),
    json: jsonFlag
  },
  Effect.fn(
    function*({ count, headers, json, queue, raw, subjects, timeout, ...options }) {
      yield* notTogether(
        ["--json", json, "--raw", raw, "each is a form of the whole message"],
        ["--headers", headers, "--raw", raw, "raw is the payload alone"]
      )
      yield* Effect.forEach(subjects, Subject.makePattern)
      if (queue !== undefined) yield* Subject.makeQueueGroup(queue)
      const { nats } = yield* connected(options)
      const printer = new Printer(messageForm({ headers, json, raw }), count)
      yield* Effect.mapError(printed(nats, { subjects, queue, count, timeout }, printer), slowReader)
    },
    Effect.scoped,
    Effect.provide(Logs.news)
  )
).pipe(
  Command.withDescription("Subscribes to subjects and prints the messages, until Ctrl-C, --count or --timeout"),
  Command.withExamples([
    { command: "effect-nats sub 'orders.>'", description: "Every message below orders" },
    {
      command: "effect-nats sub orders.created --queue audit --json",
      description: "One line of JSON for each message"
    },
    {
      command: "effect-nats sub config.current --count 1 --raw > config.json",
      description: "The next payload, as it is"
    }
  ])
)
