/** A server brought to what is declared: everything is read and judged before anything is done. */
import * as Effect from "effect/Effect"
import { oneOf } from "../../internal/operations/ranges.ts"
import { type DefinitionError, InvalidDefinition, type ProvisionError, ProvisionRefused } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import * as Consumers from "./consumers.ts"
import type { ConsumerDefinition, ConsumerInfo } from "./consumerTypes.ts"
import { isConsumerDefinition, isWritten, merged, writeConsumer, writeStream, type Written } from "./definition.ts"
import { type Difference, differences, differing, unsupported } from "./diff.ts"
import type { WireObject } from "./exactJson.ts"
import { type ChangeKind, neededFor, objectOf } from "./fields.ts"
import { consumerInfoOf, streamInfoOf } from "./infos.ts"
import { versionOf } from "./needs.ts"
import type { ProvisionEntry, ProvisionReport } from "./report.ts"
import * as Streams from "./streams.ts"
import type { Apply, ProvisionOptions, StreamDefinition, StreamInfo } from "./streamTypes.ts"

/** A definition, what is there, and what it takes. */
interface Plan {
  readonly of: Written
  readonly there: Streams.Answered | undefined
  readonly entry: ProvisionEntry
}

/** One that is there as it is declared. */
interface Settled {
  readonly entry: ProvisionEntry
  readonly answered: Streams.Answered
}

const allowed: Readonly<Record<Apply, ReadonlyArray<ChangeKind>>> = {
  nothing: [],
  safe: ["inPlace"],
  lossy: ["inPlace", "losesMessages", "irreversible"]
}

/** How often it is planned anew where others create or change the same meanwhile. */
const tries = 3

export const provision = Effect.fnUntraced(
  function*(
    api: Api,
    definitions: ReadonlyArray<StreamDefinition | ConsumerDefinition>,
    options: ProvisionOptions = {}
  ): Effect.fn.Return<ProvisionReport, ProvisionError> {
    const apply = options.apply ?? "safe"
    oneOf("apply", Object.keys(allowed), apply)
    const plans = yield* planned(api, yield* writtenAll(definitions))
    const report = { apply, entries: plans.map(({ entry }) => entry) }
    if (apply === "nothing") return report
    yield* permitted(report)
    const entries: Array<ProvisionEntry> = []
    for (const plan of plans) {
      const rest = plans.slice(entries.length + 1).map(({ entry }) => entry)
      const { entry } = yield* applied(api, plan, (own) => ({ apply, entries: [...entries, own, ...rest] }), tries)
      entries.push(entry)
    }
    return { apply, entries }
  }
)

/** What `process` and `messages` do with a definition that they are given, and what its layer does. */
export const ensureConsumer = Effect.fnUntraced(
  function*(
    api: Api,
    definition: ConsumerDefinition,
    options: { readonly apply?: "safe" | "lossy" | undefined } = {}
  ): Effect.fn.Return<ConsumerInfo, ProvisionError> {
    const { answer, config } = yield* ensured(api, definition, options.apply ?? "safe")
    return consumerInfoOf(answer, config)
  }
)

export const ensureStream = Effect.fnUntraced(
  function*(
    api: Api,
    definition: StreamDefinition,
    options: { readonly apply?: "safe" | "lossy" | undefined } = {}
  ): Effect.fn.Return<StreamInfo, ProvisionError> {
    const { answer, config } = yield* ensured(api, definition, options.apply ?? "safe")
    return streamInfoOf(api, answer, config)
  }
)

const ensured = Effect.fnUntraced(
  function*(
    api: Api,
    definition: StreamDefinition | ConsumerDefinition,
    apply: "safe" | "lossy"
  ): Effect.fn.Return<Streams.Answered, ProvisionError> {
    oneOf("apply", ["safe", "lossy"], apply)
    const [plan] = yield* planned(api, yield* writtenAll([definition]))
    const reported = (entry: ProvisionEntry): ProvisionReport => ({ apply, entries: [entry] })
    yield* permitted(reported(plan.entry))
    return (yield* applied(api, plan, reported, tries)).answered
  }
)

/** Streams first, since consumers are of them. */
const writtenAll = (
  definitions: ReadonlyArray<StreamDefinition | ConsumerDefinition>
): Effect.Effect<ReadonlyArray<Written>, DefinitionError> =>
  Effect.suspend((): Effect.Effect<ReadonlyArray<Written>, DefinitionError> => {
    const all: Array<Written> = []
    const seen = new Set<string>()
    for (const definition of definitions) {
      const of = isConsumerDefinition(definition) ? writeConsumer(definition) : writeStream(definition)
      if (!isWritten(of)) return Effect.fail(of)
      const key = `${of.of} ${of.stream} ${of.name}`
      if (seen.has(key)) {
        return Effect.fail(
          new InvalidDefinition({ of: of.of, name: of.name, field: "name", problem: "it is declared twice" })
        )
      }
      seen.add(key)
      all.push(of)
    }
    return Effect.succeed([
      ...all.filter((each) => each.of === "stream"),
      ...all.filter((each) => each.of === "consumer")
    ])
  })

/** How many definitions are asked for at once. */
const concurrency = 8

const planned = (api: Api, all: ReadonlyArray<Written>): Effect.Effect<ReadonlyArray<Plan>, ProvisionError> => {
  const declared = new Map(all.filter((each) => each.of === "stream").map((each) => [each.name, each]))
  return Effect.forEach(all, (of) => planOf(api, of, declared), { concurrency })
}

/** `declared` are the streams that are provisioned along with it. */
const planOf = Effect.fnUntraced(
  function*(api: Api, of: Written, declared: ReadonlyMap<string, Written>): Effect.fn.Return<Plan, ProvisionError> {
    const at = { version: versionOf(api) }
    if (of.of === "stream") return judged(api, of, yield* Streams.look(api, of.name), at)
    const there = yield* Consumers.look(api, of.stream, of.name).pipe(
      Effect.catchTag(
        "StreamNotFound",
        (missing) => declared.has(of.stream) ? Effect.succeed(undefined) : Effect.fail(missing)
      )
    )
    if (there === undefined) return judged(api, of, there, at)
    yield* Consumers.pulled(of, there.config)
    // Who may not ask for the stream need not, unless it decides.
    const retention = differing(there.config, of).includes("filter")
      ? declared.get(of.stream)?.config.retention ?? (yield* Streams.look(api, of.stream))?.config.retention
      : undefined
    return judged(api, of, there, { ...at, retention: String(retention) })
  }
)

const judged = (
  api: Api,
  of: Written,
  there: Streams.Answered | undefined,
  at: { readonly version: string | undefined; readonly retention?: string | undefined }
): Plan => {
  const found = there === undefined
    ? unsupported({}, of, at.version)
    : differences(there.config, of, at).map((each) => clustered(each, there))
  const action = there === undefined ? "create" : found.length === 0 ? "none" : "update"
  return { of, there, entry: entryOf(api, of, action, false, found) }
}

/** Servers alone refuse several replicas, and old ones take the number for granted. */
const clustered = (found: Difference, { answer }: Streams.Answered): Difference =>
  found.field === "replicas" && found.kind === "inPlace" && Number(found.declared) > 1 && isAlone(answer)
    ? { ...found, kind: "unsupported" }
    : found

const isAlone = (answer: WireObject): boolean => {
  const cluster = objectOf(answer.cluster)
  return cluster === undefined || cluster.name === undefined || cluster.name === ""
}

const entryOf = (
  api: Api,
  of: Written,
  action: ProvisionEntry["action"],
  done: boolean,
  found: ReadonlyArray<Difference>
): ProvisionEntry => ({
  of: of.of,
  name: of.name,
  stream: of.stream,
  action,
  done,
  changes: found.map(({ actual, declared, field, kind, needs }) => ({
    of: of.of,
    name: of.name,
    stream: of.stream,
    field,
    declared,
    actual: shown(api, actual),
    kind,
    ...(needs === undefined ? {} : { needs })
  }))
})

/** What a server says, as a person may see it. */
const shown = (api: Api, words: unknown): unknown => {
  if (typeof words === "string") return api.shown(words)
  if (Array.isArray(words)) return words.map((each) => shown(api, each))
  return typeof words === "object" && words !== null
    ? Object.fromEntries(Object.entries(words).map(([key, each]) => [api.shown(key), shown(api, each)]))
    : words
}

const permitted = (report: ProvisionReport): Effect.Effect<void, ProvisionRefused> => {
  const changes = report.entries.flatMap((entry) => entry.changes)
    .filter(({ kind }) => !allowed[report.apply].includes(kind))
  return changes.length === 0 ? Effect.void : Effect.fail(new ProvisionRefused({ changes, report }))
}

/** `reported` puts the entry into the whole report. */
const applied = (
  api: Api,
  plan: Plan,
  reported: (own: ProvisionEntry) => ProvisionReport,
  left: number
): Effect.Effect<Settled, ProvisionError> =>
  Effect.gen(function*() {
    const { entry, of, there } = plan
    if (there !== undefined && entry.action === "none") return { entry, answered: there }
    const sent = yield* (of.of === "stream" ? sendStream(api, plan) : sendConsumer(api, plan))
    if (sent === "moved") {
      // Somebody else created, changed or deleted it meanwhile.
      const again = yield* planOf(api, of, new Map())
      yield* permitted(reported(again.entry))
      if (left > 1) return yield* applied(api, again, reported, left - 1)
      return yield* new ProvisionRefused({ changes: again.entry.changes, report: reported(again.entry) })
    }
    const dropped = dropsOf(of, sent.config)
    const done = { ...entry, done: true }
    if (dropped.length === 0) return { entry: done, answered: sent }
    const own = { ...done, changes: [...entry.changes, ...entryOf(api, of, entry.action, true, dropped).changes] }
    return yield* new ProvisionRefused({
      changes: entryOf(api, of, entry.action, true, dropped).changes,
      report: reported(own)
    })
  })

/** The second look: what was sent and is not in the answer. */
const dropsOf = (of: Written, config: WireObject): ReadonlyArray<Difference> =>
  differing(config, of).map((field) => {
    const declared = of.fields[field].words(of.config)
    const needs = neededFor(of.fields[field], declared)
    return { field, declared, actual: of.fields[field].words(config), kind: "unsupported", needs }
  })

type Sent = Streams.Answered | "moved"

const moved = () => Effect.succeed<Sent>("moved")

const sendStream = (api: Api, { of, there }: Plan): Effect.Effect<Sent, ProvisionError> =>
  Streams.send(
    api,
    there === undefined ? "CREATE" : "UPDATE",
    of,
    there === undefined ? of.config : merged(there.config, of)
  )
    .pipe(Effect.catchTags({ StreamExists: moved, StreamNotFound: moved }))

const sendConsumer = (api: Api, { of, there }: Plan): Effect.Effect<Sent, ProvisionError> =>
  (there === undefined ? Consumers.send(api, "create", of, of.config) : Consumers.change(api, of, there)).pipe(
    Effect.catchTags({ ConsumerExists: moved, ConsumerNotFound: moved })
  )
