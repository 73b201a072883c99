/**
 * `effect-nats request`: asks, and prints what is answered.
 */
import * as Command from "effect/cli/Command"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { errorIn } from "../../internal/payload/serviceReply.ts"
import type { NatsClient } from "../../NatsClient.ts"
import { RequestTimedOut, type ServiceError } from "../../NatsError.ts"
import type { Input } from "../../NatsHeaders.ts"
import type { NatsMessage } from "../../NatsMessage.ts"
import * as Subject from "../../Subject.ts"
import { connectionFlags, countFlag, jsonFlag, switchFlag, timeFlag } from "./flags.ts"
import * as Logs from "./logs.ts"
import { connected, counted } from "./messages/connected.ts"
import { type Form, replyForm } from "./messages/forms.ts"
import { headerFlag, notTogether, payloadArgument, readHeaders, subjectArgument } from "./messages/options.ts"
import { isFromStdin, readPayload } from "./messages/payload.ts"
import { Printer } from "./messages/printing.ts"
import * as Output from "./output.ts"

/** Fewer replies than `--count` have come in time. */
export class RepliesMissing extends Schema.TaggedError<RepliesMissing>()("RepliesMissing", {
  subject: Schema.String,
  replies: Schema.Number,
  wanted: Schema.Number
}) {
  override get message(): string {
    return `${counted(this.replies, "reply").replace("replys", "replies")} of ${this.wanted} on "${
      Output.shown(this.subject, 256)
    }" came in time: start what answers, or raise --timeout.`
  }
}

interface Request {
  readonly subject: string
  readonly payload: string | Uint8Array
  readonly headers: Input | undefined
  readonly timeout: Duration.Duration
}

/** Prints replies, and keeps the first error that a service answered with. */
class Replies {
  readonly printer: Printer
  error: ServiceError | undefined = undefined
  private readonly subject: string
  private readonly json: boolean

  constructor(subject: string, form: Form, json: boolean) {
    this.printer = new Printer(form, undefined)
    this.subject = subject
    this.json = json
  }

  /** An answer with an error is no result: people read it on stderr, and programs see its headers. */
  print<E, R>(stream: Stream.Stream<NatsMessage, E, R>): Effect.Effect<void, E, R> {
    const results = Stream.filterEffect(stream, (message) => {
      const error = errorIn(this.subject, message)
      if (error === undefined) return Effect.succeed(true)
      this.error ??= error
      if (this.json) return Effect.succeed(true)
      return Effect.as(
        error.body === "" ? Effect.void : Output.aside(`The error has a body: ${Output.shown(error.body)}`),
        false
      )
    })
    return this.printer.print(results)
  }
}

const one = (nats: NatsClient, { headers, payload, subject, timeout }: Request, replies: Replies) =>
  replies.print(Stream.fromEffect(nats.request(subject, payload, { headers, timeout })))

const many = Effect.fnUntraced(
  function*(
    nats: NatsClient,
    { headers, payload, subject, timeout }: Request,
    replies: Replies,
    count: number | undefined,
    stall: Duration.Duration | undefined
  ) {
    let came = 0
    const stream = nats.requestMany(subject, payload, { headers, timeout, count, stall })
    yield* replies.print(Stream.tap(stream, () => Effect.sync(() => came++)))
    if (came === 0) return yield* new RequestTimedOut({ subject, timeoutMillis: Duration.toMillis(timeout) })
    if (count !== undefined && came < count) return yield* new RepliesMissing({ subject, replies: came, wanted: count })
  }
)

export const request = Command.make(
  "request",
  {
    ...connectionFlags,
    subject: subjectArgument,
    payload: payloadArgument,
    given: headerFlag,
    timeout: timeFlag("timeout", "How long to wait for the reply, or for all of them; the default is 10 seconds"),
    many: switchFlag("many", "Take replies until the time is over"),
    count: countFlag("count", "Take so many replies; fewer are a failure"),
    stall: timeFlag("stall", "With --many: end so long after the last reply"),
    headers: switchFlag("headers", "Show the headers of replies"),
    raw: switchFlag("raw", "Print the bytes of the payload and a line break, on a terminal, too"),
    json: jsonFlag
  },
  Effect.fn(
    function*(
      { count, given, headers, json, many: takesMany, payload, raw, stall, subject, timeout, ...options }
    ) {
      const isMany = takesMany || count !== undefined
      yield* notTogether(
        ["--json", json, "--raw", raw, "each is a form of the whole message"],
        ["--headers", headers, "--raw", raw, "raw is the payload alone"],
        ["--stall", stall !== undefined, "a single reply", !isMany, "give --many or --count, too"]
      )
      yield* Subject.make(subject)
      const own = yield* readHeaders(given)
      if (isFromStdin(payload) && process.stdin.isTTY) yield* Output.aside("Reads stdin; Ctrl-D ends it.")
      const body = yield* readPayload(payload)
      const { nats, source } = yield* connected(options)
      const asked: Request = { subject, payload: body, headers: own, timeout: timeout ?? source.config.requestTimeout }
      const replies = new Replies(subject, replyForm({ headers, json, raw }), json)
      yield* isMany ? many(nats, asked, replies, count, stall) : one(nats, asked, replies)
      if (replies.error !== undefined) return yield* replies.error
    },
    Effect.scoped,
    Effect.provide(Logs.news)
  )
).pipe(
  Command.withDescription("Sends a request and prints the payload of the reply"),
  Command.withExamples([
    { command: "effect-nats request time.now", description: "Fails where nobody answers" },
    { command: "effect-nats request orders.get '{\"id\":7}' --timeout 2s --json" },
    { command: "effect-nats request '$SRV.PING' --many --stall 300ms", description: "All replies that come" }
  ])
)
