/**
 * Who leads what is replicated in a cluster: asked of the monitoring ports, since the server has no event to wait for.
 */
import * as Effect from "effect/Effect"
import { NatsServerTimedOut } from "../TestNatsServerError.ts"
import { getJson } from "./monitor.ts"

/** What has a leader: the cluster's metadata, a stream, or a consumer of it. */
export interface Group {
  readonly stream?: string | undefined
  readonly consumer?: string | undefined
  readonly account?: string | undefined
}

interface Cluster {
  readonly leader?: string
  readonly cluster_size?: number
  /** Only in the words of the leader. */
  readonly replicas?: ReadonlyArray<{ readonly name: string; readonly current: boolean; readonly offline?: boolean }>
}

interface Details {
  readonly name: string
  /** Absent on a server that is in no cluster. */
  readonly cluster?: Cluster
}

interface Jsz {
  readonly meta_cluster?: Cluster
  readonly account_details?: ReadonlyArray<{
    readonly name: string
    readonly stream_detail?: ReadonlyArray<Details & { readonly consumer_detail?: ReadonlyArray<Details> }>
  }>
}

const lookAgainAfter = 50

/** A server that is frozen takes the question and does not answer. */
const patience = 1_000

const ask = (port: number, path: string): Promise<unknown> =>
  new Promise((resolve) => {
    const stop = getJson(port, path, (json) => {
      clearTimeout(timer)
      resolve(json)
    })
    const timer = setTimeout(() => {
      stop()
      resolve(undefined)
    }, patience)
  })

/** How the server itself sees the group. `alone`: it is in no cluster, and has it. */
const viewOf = (jsz: Jsz, { account = "$G", consumer, stream }: Group): Cluster | "alone" | undefined => {
  if (stream === undefined) return jsz.meta_cluster ?? "alone"
  const found = jsz.account_details
    ?.find(({ name }) => name === account)
    ?.stream_detail?.find(({ name }) => name === stream)
  const details = consumer === undefined ? found : found?.consumer_detail?.find(({ name }) => name === consumer)
  return details === undefined ? undefined : details.cluster ?? "alone"
}

/** The leader, if this server is it. */
const leading = async (port: number, group: Group): Promise<Cluster | undefined> => {
  const [varz, jsz] = await Promise.all([
    ask(port, "/varz"),
    ask(port, "/jsz?accounts=true&streams=true&consumers=true")
  ])
  if (varz === undefined || jsz === undefined) return undefined
  const view = viewOf(jsz as Jsz, group)
  if (view === "alone") return {}
  return view?.leader === (varz as { readonly server_name: string }).server_name ? view : undefined
}

const isWhole = ({ replicas = [] }: Cluster): boolean =>
  replicas.every(({ current, offline }) => current && offline !== true)

/**
 * Looks again and again, in real time, until there is an answer. `seen`: what a failure shows of the last look, a line each.
 */
const looking = <A>(
  during: string,
  timeoutMillis: number,
  look: () => Promise<A | undefined>,
  seen: () => ReadonlyArray<string> = () => []
): Effect.Effect<A, NatsServerTimedOut> =>
  Effect.callback((resume) => {
    let isWanted = true
    let timer: NodeJS.Timeout | undefined
    const last = setTimeout(() => {
      isWanted = false
      clearTimeout(timer)
      resume(Effect.fail(new NatsServerTimedOut({ during, timeoutMillis, lastLines: seen() })))
    }, timeoutMillis)
    const again = async (): Promise<void> => {
      const found = await look()
      if (!isWanted) return
      if (found === undefined) {
        timer = setTimeout(again, lookAgainAfter)
      } else {
        clearTimeout(last)
        resume(Effect.succeed(found))
      }
    }
    void again()
    return Effect.sync(() => {
      isWanted = false
      clearTimeout(last)
      clearTimeout(timer)
    })
  })

/**
 * Waits until one of the ports, and no other, says that it leads the group; `whole`: and that all replicas have what it
 * has. Gives its index.
 */
export const awaitLeader = (
  ports: ReadonlyArray<number>,
  group: Group,
  whole: boolean,
  timeoutMillis: number
): Effect.Effect<number, NatsServerTimedOut> => {
  const name = [group.stream ?? "the cluster's metadata", ...(group.consumer === undefined ? [] : [group.consumer])]
  const during = `waiting for ${whole ? "all replicas" : "a leader"} of ${name.join("/")}`
  let leaders: ReadonlyArray<{ readonly view: Cluster; readonly index: number }> = []
  const shown = ({ index, view: { replicas = [] } }: (typeof leaders)[number]): string =>
    [
      `server ${index} leads it`,
      ...replicas.flatMap(({ current, name, offline }) =>
        offline === true ? `${name} is offline` : current ? [] : `${name} is behind`
      )
    ].join(", ")
  return looking(
    during,
    timeoutMillis,
    async () => {
      const views = await Promise.all(ports.map((port) => leading(port, group)))
      leaders = views.flatMap((view, index) => view === undefined ? [] : [{ view, index }])
      return leaders.length === 1 && (!whole || isWhole(leaders[0].view)) ? leaders[0].index : undefined
    },
    () => leaders.length === 0 ? ["no server says that it leads it"] : leaders.map(shown)
  )
}

/** How long a new leader may be without one of the others, in milliseconds. */
const incompleteMillis = 1_500

/**
 * Waits until all servers of a new cluster say that its metadata has a leader and all of them. Gives the names of those
 * that a leader goes on without.
 *
 * When the answers of two servers reach a new leader at once, it can take one of them twice, and the other one not before
 * the next change (nats-server 2.10 and 2.15, in a few of a hundred first starts of a busy machine).
 */
export const awaitMembers = (
  servers: ReadonlyArray<{ readonly name: string; readonly port: number }>,
  timeoutMillis: number
): Effect.Effect<ReadonlyArray<string>, NatsServerTimedOut> => {
  let incompleteSince: number | undefined
  return looking("forming the cluster (a leader of JetStream that has all servers)", timeoutMillis, async () => {
    const answers = await Promise.all(servers.map(({ port }) => ask(port, "/jsz")))
    const views = answers.map((jsz) => (jsz as Jsz | undefined)?.meta_cluster)
    if (views.every((view) => view?.cluster_size === servers.length && (view.leader ?? "") !== "")) return []
    const leader = servers.findIndex(({ name }, index) => views[index]?.leader === name)
    const names = new Set([servers[leader]?.name, ...(views[leader]?.replicas ?? []).map(({ name }) => name)])
    const lacking = servers.flatMap(({ name }) => names.has(name) ? [] : [name])
    if (leader < 0 || lacking.length === 0) {
      incompleteSince = undefined
      return undefined
    }
    const now = performance.now()
    incompleteSince ??= now
    return now - incompleteSince < incompleteMillis ? undefined : lacking
  })
}
