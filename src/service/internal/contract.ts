/**
 * The endpoints of an `RpcGroup`: names, subjects, queue groups, metadata, and what is wrong with them.
 */
import * as Context from "effect/Context"
import type * as Rpc from "effect/rpc/Rpc"
import type * as RpcGroup from "effect/rpc/RpcGroup"
import * as RpcSchema from "effect/rpc/RpcSchema"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import { concurrencyProblem } from "../../internal/operations/ranges.ts"
import { queueProblem, type SubjectProblem, subjectProblem } from "../../internal/subject/rules.ts"
import type { EndpointOptions, GroupOptions } from "../NatsService.ts"
import { InvalidService } from "./invalidService.ts"

export const EndpointKey: Context.Service<EndpointOptions, EndpointOptions> = Context.Service<EndpointOptions>(
  "effect-nats/NatsService/Endpoint"
)

export const GroupKey: Context.Service<GroupOptions, GroupOptions> = Context.Service<GroupOptions>(
  "effect-nats/NatsService/Group"
)

export interface EndpointContract {
  readonly rpc: Rpc.AnyWithProps
  readonly name: string
  readonly subject: string
  /** `undefined`: every instance gets every request. */
  readonly queue: string | undefined
  readonly metadata: Readonly<Record<string, string>>
}

/** The queue group of services that do not say another, as in every library of the protocol. */
export const defaultQueue = "q"

const validName = /^[A-Za-z0-9_-]+$/

// Semantic Versioning 2.0.0: three numbers without leading zeros, then pre-release and build identifiers.
const number = "(?:0|[1-9][0-9]*)"
const preRelease = `(?:${number}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`
const build = "[0-9A-Za-z-]+"
const validVersion = new RegExp(
  `^${number}\\.${number}\\.${number}(?:-${preRelease}(?:\\.${preRelease})*)?(?:\\+${build}(?:\\.${build})*)?$`
)

// Without types, anything can come here.
const invalid = (service: unknown, what: InvalidService["what"], given: unknown, problem: string): InvalidService =>
  new InvalidService({ service: String(service).slice(0, 128), what, given: String(given).slice(0, 128), problem })

const nameRule = "a name has letters, digits, \"-\" and \"_\" only"

export const nameProblem = (name: string): InvalidService | undefined =>
  typeof name === "string" && validName.test(name) ? undefined : invalid(name, "name", name, nameRule)

/** Of what a search asks for. An id is what a library makes of it, so long as it can stand in a subject. */
export const searchProblem = (name: string | undefined, id: string | undefined): InvalidService | undefined => {
  if (name === undefined) return undefined
  const inName = nameProblem(name)
  if (inName !== undefined || id === undefined) return inName
  const problem = typeof id === "string" ? subjectProblem(id)?.problem : "it is no text"
  return problem === undefined ? undefined : invalid(name, "id", id, problem)
}

export const versionProblem = (service: string, version: string): InvalidService | undefined =>
  validVersion.test(version)
    ? undefined
    : invalid(service, "version", version, "a version is a semantic one, such as 1.0.0")

export const checkConcurrency = (service: string, concurrency: number | "unbounded"): InvalidService | undefined => {
  const problem = concurrencyProblem(concurrency)
  return problem === undefined ? undefined : invalid(service, "concurrency", String(concurrency), problem)
}

/** The endpoints in the order of the group, or the first problem. */
export const endpointsOf = <Rpcs extends Rpc.Any>(
  group: RpcGroup.RpcGroup<Rpcs>,
  service: string,
  serviceQueue: string | false | undefined
): ReadonlyArray<EndpointContract> | InvalidService => {
  const inName = nameProblem(service)
  if (inName !== undefined) return inName
  const endpoints: Array<EndpointContract> = []
  const subjects = new Set<string>()
  for (const request of group.requests.values()) {
    const endpoint = endpointOf(request as unknown as Rpc.AnyWithProps, group.annotations, service, serviceQueue)
    if (endpoint instanceof InvalidService) return endpoint
    if (subjects.has(endpoint.subject)) return invalid(service, "subject", endpoint.subject, "two endpoints have it")
    subjects.add(endpoint.subject)
    endpoints.push(endpoint)
  }
  return endpoints
}

const endpointOf = (
  rpc: Rpc.AnyWithProps,
  annotations: Context.Context<never>,
  service: string,
  serviceQueue: string | false | undefined
): EndpointContract | InvalidService => {
  const own = annotation(rpc.annotations, EndpointKey) ?? {}
  const group = annotation(rpc.annotations, GroupKey) ?? annotation(annotations, GroupKey) ?? {}
  if (RpcSchema.isStreamSchema(rpc.successSchema)) {
    return invalid(
      service,
      "endpoint",
      rpc._tag,
      "it gives a stream, and a NATS micro service answers once: use NatsRpc"
    )
  }
  const prefix = group.prefix ?? service
  const last = own.subject ?? rpc._tag
  const subject = prefix === "" ? last : `${prefix}.${last}`
  const inSubject = subjectProblem(subject)
  if (inSubject !== undefined) {
    return invalid(service, "subject", subject, /[*>]/.test(subject) ? wildcardRule : inWords(inSubject))
  }
  // A tag such as "users.get" is two tokens of a subject, and a name has no dots.
  const name = own.name ?? rpc._tag.replaceAll(".", "-")
  if (!validName.test(name)) {
    return own.name === undefined
      ? invalid(
        service,
        "endpoint",
        rpc._tag,
        `its tag is no name (${nameRule}): give it one with NatsService.Endpoint`
      )
      : invalid(service, "endpoint", name, nameRule)
  }
  if (subject.startsWith("$SRV.")) return invalid(service, "subject", subject, "\"$SRV\" is for discovery")
  const queue = own.queue ?? group.queue ?? serviceQueue ?? defaultQueue
  const inQueue = queue === false ? undefined : queueProblem(queue)
  if (inQueue !== undefined) return invalid(service, "queue", String(queue), inQueue.problem)
  return {
    rpc,
    name,
    subject,
    queue: queue === false ? undefined : queue,
    metadata: { ...group.metadata, ...own.metadata }
  }
}

const wildcardRule =
  "an endpoint has no wildcards, as its callers send to it: put what varies into the payload, or serve a template of SubjectSchema.makeRequest"

/** Which part of a subject is meant: that of the user's own is not all of it. */
const inWords = ({ problem, token }: SubjectProblem): string =>
  token === undefined ? problem : problem.replace(/^it /, `token ${token} `)

const annotation = <A>(annotations: Context.Context<never>, key: Context.Key<A, A>): A | undefined =>
  service(annotations, key.key)

/** The handler of an endpoint. What is not typed can lack it, or give something else in its place. */
export const handlerOf = (
  context: Context.Context<never>,
  name: string,
  { rpc }: EndpointContract
): Rpc.Handler<string> | InvalidService => {
  const found = service<Rpc.Handler<string>>(context, rpc.key)
  return typeof found?.handler === "function"
    ? found
    : invalid(name, "endpoint", rpc._tag, "it has no handler: give the group's toLayer a function for this tag")
}

/** The failures that an rpc can have: its own and those of its middleware. `Never` where there are none. */
export const failureSchema = (rpc: Rpc.AnyWithProps): Schema.Top => {
  const schemas = [rpc.errorSchema, ...Array.from(rpc.middlewares, (middleware) => middleware.error)]
    .filter((schema) => !SchemaAST.isNever(schema.ast))
  return schemas.length === 0 ? Schema.Never : schemas.length === 1 ? schemas[0] : Schema.Union(schemas)
}

/**
 * A context without the handlers of the endpoints. They came with it, all of them, and need none of each other: with them,
 * the contexts that a service keeps and makes would grow with the square of its endpoints.
 */
export const withoutHandlers = <R>(
  context: Context.Context<R>,
  endpoints: ReadonlyArray<EndpointContract>
): Context.Context<R> => Context.omit(...endpoints.map(({ rpc }) => Context.Service<never>(rpc.key)))(context)

/** What effect/rpc keeps under a key of its own making. */
export const service = <A>(context: Context.Context<never>, key: string): A | undefined =>
  Context.getOrUndefined(context as Context.Context<A>, Context.Service<A>(key))
