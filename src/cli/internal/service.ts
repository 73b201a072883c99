/**
 * `effect-nats service`: the services that answer on a connection (ADR-32), of whatever library.
 */
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { NatsClient } from "../../NatsClient.ts"
import { connect, sayConfiguration } from "./connecting.ts"
import {
  connectionFlags,
  type ConnectionOptions,
  countFlag,
  jsonFlag,
  switchFlag,
  textFlag,
  timeFlag
} from "./flags.ts"
import * as Output from "./output.ts"
import { type Asked, infos, instances, NoSuchService, statistics } from "./service/discovering.ts"
import { infoLines, listRows, statsLines } from "./service/report.ts"
import { shortestInterval, top as runTop } from "./service/top.ts"
import { load } from "./source.ts"

const optionalName = Argument.String("name").pipe(
  Argument.withDescription("The services of this name only"),
  Argument.optional,
  Argument.map(Option.getOrUndefined)
)

const name = Argument.String("name").pipe(Argument.withDescription("The name of the service"))

const id = Argument.String("id").pipe(
  Argument.withDescription("This instance only"),
  Argument.optional,
  Argument.map(Option.getOrUndefined)
)

const shared = {
  ...connectionFlags,
  timeout: timeFlag("timeout", "How long to listen for answers at most; the default is 2 seconds"),
  prefix: textFlag("prefix", "SUBJECT", "Where services of another account are imported, in place of $SRV"),
  json: jsonFlag
} as const

interface Given extends ConnectionOptions, Asked {
  readonly json: boolean
}

const connected = (given: Given) =>
  Effect.gen(function*() {
    const source = yield* load(given)
    if (!given.json) yield* sayConfiguration(source)
    return yield* connect(source)
  })

/** Connects, asks, and tells: as lines, or as JSON. */
const asking = <A, E>(
  given: Given,
  ask: Effect.Effect<ReadonlyArray<A>, E, NatsClient>,
  lines: (found: ReadonlyArray<A>) => ReadonlyArray<string>
) =>
  Effect.scoped(Effect.gen(function*() {
    const client = yield* connected(given)
    const found = yield* Effect.provideService(ask, NatsClient, client)
    if (given.json) return yield* Output.json(found)
    for (const text of lines(found)) yield* Output.line(text)
  }))

/** Who asks for a service by its name wants to hear that it is not there. */
const mustAnswer = <A, E, R>(given: Asked, found: Effect.Effect<ReadonlyArray<A>, E, R>) =>
  Effect.filterOrFail(
    found,
    (answers) => answers.length > 0,
    () =>
      new NoSuchService({
        ...(given.name === undefined ? {} : { name: given.name }),
        ...(given.id === undefined ? {} : { id: given.id })
      })
  )

const list = Command.make(
  "list",
  {
    name: optionalName,
    instances: switchFlag("instances", "A row for each instance"),
    ...shared
  },
  (given) => asking({ ...given, id: undefined }, instances(given), (found) => listRows(found, given.instances))
).pipe(Command.withDescription("Lists the services that answer"), Command.withAlias("ls"))

const info = Command.make(
  "info",
  { name, id, ...shared },
  (given) => asking(given, mustAnswer(given, infos(given)), infoLines)
).pipe(Command.withDescription("Shows what a service offers: endpoints, subjects, queue groups, metadata"))

const stats = Command.make(
  "stats",
  { name: optionalName, id, ...shared },
  (given) =>
    asking(given, given.name === undefined ? statistics(given) : mustAnswer(given, statistics(given)), statsLines)
).pipe(Command.withDescription("Shows what services have done: requests, errors, times"))

const top = Command.make(
  "top",
  {
    name: optionalName,
    interval: Flag.filter(
      timeFlag("interval", "How often to ask, at least 100 milliseconds; the default is 1 second"),
      (interval) => interval === undefined || Duration.isGreaterThanOrEqualTo(interval, shortestInterval),
      () => "at least \"100ms\", as each table asks every service"
    ),
    count: Flag.withAlias(countFlag("count", "End after so many tables"), "n"),
    ...shared
  },
  (given) =>
    Effect.scoped(
      Effect.flatMap(connected(given), (client) => Effect.provideService(runTop(given), NatsClient, client))
    )
).pipe(
  Command.withDescription("Shows what services are doing, as a table that is drawn anew"),
  Command.withExamples([
    { command: "effect-nats service top" },
    { command: "effect-nats service top orders --interval \"5 seconds\" --count 12 --json" }
  ])
)

export const service = Command.make("service").pipe(
  Command.withDescription("Looks at the services that run on a connection"),
  Command.withSubcommands([list, info, stats, top])
)
