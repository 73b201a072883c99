/**
 * The servers, links and faults of the driver of faults. What is asked of the servers here goes by a connection of its
 * own, past the links.
 */
import { type ConsumerConfig, type JetStreamManager, jetstreamManager, type StreamConfig } from "@nats-io/jetstream"
import { connect, type NatsConnection } from "@nats-io/transport-node"
import { TestNatsProxy, TestNatsServer } from "effect-nats/testing"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Message } from "../test/fixtures/history.ts"
import type { Peer } from "./faultSystems.ts"

type Server = TestNatsServer.TestNatsServer

export interface Rig {
  readonly servers: ReadonlyArray<Server>
  readonly proxies: ReadonlyArray<TestNatsProxy.TestNatsProxy>
  /** What the clients under test are told: the links. */
  readonly urls: ReadonlyArray<string>
  readonly replicas: number
  readonly manager: JetStreamManager
  readonly connection: NatsConnection
  /** Streams whose replicas are waited for between faults. */
  readonly streams: Array<string>
}

export const makeRig = (replicas: 1 | 3): Effect.Effect<Rig, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    // Several clusters begin side by side in the suite.
    const options = { jetstream: true, startTimeout: "60 seconds" } as const
    const servers = replicas === 1
      ? [yield* TestNatsServer.make(options)]
      : yield* TestNatsServer.cluster(replicas, options)
    const proxies = yield* Effect.forEach(servers, ({ port }) => TestNatsProxy.make({ port, record: false }))
    const connection = yield* Effect.acquireRelease(
      Effect.promise(() =>
        connect({
          servers: servers.map(({ url }) => url),
          ignoreClusterUpdates: true,
          maxReconnectAttempts: -1,
          reconnectTimeWait: 50,
          pingInterval: 1_000
        })
      ),
      (connection) => Effect.promise(() => connection.close())
    )
    const manager = yield* Effect.promise(() => jetstreamManager(connection, { timeout: 5_000, checkAPI: false }))
    return {
      servers,
      proxies,
      urls: proxies.map(({ url }) => url),
      replicas,
      manager,
      connection,
      streams: []
    }
  })

/** Again, until the servers have found a leader. */
export const insisting = <A>(attempt: () => Promise<A>): Effect.Effect<A> =>
  Effect.eventually(Effect.tapError(Effect.tryPromise(attempt), () => Effect.sleep("50 millis")))

export const createStream = (rig: Rig, config: Partial<StreamConfig> & { readonly name: string }) =>
  Effect.andThen(
    insisting(() => rig.manager.streams.add({ num_replicas: rig.replicas, ...config })),
    Effect.suspend(() => {
      rig.streams.push(config.name)
      return TestNatsServer.awaitReplicas(rig.servers, { stream: config.name })
    })
  )

export const createConsumer = (rig: Rig, stream: string, name: string, config: Partial<ConsumerConfig> = {}) =>
  insisting(() => rig.manager.consumers.add(stream, { durable_name: name, ack_policy: "explicit", ...config }))

/** As a bucket is made, with all revisions of every key kept. */
export const createBucket = (rig: Rig, name: string, config: Partial<StreamConfig> = {}) =>
  createStream(rig, {
    name: `KV_${name}`,
    subjects: [`$KV.${name}.>`],
    max_msgs_per_subject: 64,
    allow_rollup_hdrs: true,
    deny_delete: true,
    discard: "new",
    ...config
  })

/** How long what is left behind may take to be removed: a server removes it by itself after thirty seconds. */
const tidyMillis = 10_000

/** How many consumers a stream has in the end. More than these are removed in the background, once somebody answers. */
export const consumersIn = (rig: Rig, stream: string, wanted: number): Effect.Effect<number> =>
  Effect.gen(function*() {
    const last = performance.now() + tidyMillis
    while (true) {
      const { state } = yield* insisting(() => rig.manager.streams.info(stream))
      if (state.consumer_count <= wanted || performance.now() > last) return state.consumer_count
      yield* Effect.sleep("100 millis")
    }
  })

/** All messages of a stream, each asked for by its sequence at the leader. */
export const readBack = (rig: Rig, stream: string): Effect.Effect<Array<Message & { readonly subject: string }>> =>
  insisting(async () => {
    const { state } = await rig.manager.streams.info(stream)
    const messages: Array<Message & { readonly subject: string }> = []
    let next = state.first_seq
    const worker = async (): Promise<void> => {
      while (next <= state.last_seq) {
        const sequence = next++
        const message = await rig.manager.streams.getMessage(stream, { seq: sequence })
        if (message !== null) messages.push({ sequence, id: message.string(), subject: message.subject })
      }
    }
    await Promise.all(Array.from({ length: 64 }, worker))
    return messages.toSorted((a, b) => a.sequence - b.sequence)
  })

/** What a fault acts on. */
export interface Stage {
  readonly rig: Rig
  readonly peer: Peer
  readonly stream: string
  readonly consumer: string | undefined
  readonly random: () => number
}

export type Fault = (stage: Stage) => Effect.Effect<void, unknown>

const downFor = (random: () => number): Effect.Effect<void> => Effect.sleep(500 + random() * 2_500)

type Choice = (stage: Stage) => Effect.Effect<Server, unknown>

const streamLeader: Choice = ({ rig, stream }) => TestNatsServer.leaderOf(rig.servers, { stream })

const consumerLeader: Choice = ({ consumer, rig, stream }) => TestNatsServer.leaderOf(rig.servers, { stream, consumer })

/** The one that the client sits on. */
const home: Choice = ({ peer, random, rig }) =>
  Effect.map(Effect.promise(() => peer.server()), (url) => {
    const port = url === undefined ? -1 : Number(new URL(url).port)
    const index = rig.proxies.findIndex((proxy) => proxy.port === port)
    return rig.servers[index < 0 ? Math.floor(random() * rig.servers.length) : index]
  })

const killed = (choose: Choice): Fault => (stage) =>
  Effect.flatMap(
    choose(stage),
    (server) => Effect.andThen(server.kill, Effect.andThen(downFor(stage.random), server.restart))
  )

const frozen = (choose: Choice): Fault => (stage) =>
  Effect.flatMap(
    choose(stage),
    (server) =>
      Effect.andThen(server.pause, Effect.andThen(Effect.sleep(1_000 + stage.random() * 4_000), server.resume))
  )

const steppedDown = (subject: (stage: Stage) => string): Fault => (stage) =>
  insisting(() => stage.rig.connection.request(subject(stage), "", { timeout: 2_000 }))

/** A fault of all links, which are whole again after so many milliseconds. */
const links = (act: (proxy: TestNatsProxy.TestNatsProxy) => Effect.Effect<void>, millis = 0): Fault => ({ rig }) =>
  Effect.andThen(
    Effect.forEach(rig.proxies, act),
    Effect.andThen(Effect.sleep(millis), Effect.forEach(rig.proxies, (proxy) => proxy.heal))
  )

/** The servers whose replicas are behind, by the stream's leader. */
const behind = ({ manager, servers }: Rig, stream: string) =>
  Effect.gen(function*() {
    const { cluster } = yield* insisting(() => manager.streams.info(stream))
    const names = new Set(cluster?.replicas?.flatMap(({ current, name }) => current ? [] : [name]))
    return yield* Effect.filter(servers, (server) =>
      Effect.map(server.monitor("/varz"), (varz) =>
        names.has((varz as { readonly server_name: string }).server_name)))
  })

/**
 * Waits until all replicas are there. 2.10 can leave the replica of a server behind that comes back, whatever is published
 * then: another start takes it in.
 */
const awaitWhole = (rig: Rig, stream: string) =>
  TestNatsServer.awaitReplicas(rig.servers, { stream }, { timeout: "20 seconds" }).pipe(
    Effect.catch(() =>
      rig.servers[0].version.startsWith("2.10.")
        ? Effect.flatMap(behind(rig, stream), Effect.forEach((server) => server.restart, { discard: true }))
        : Effect.void
    ),
    Effect.andThen(TestNatsServer.awaitReplicas(rig.servers, { stream }, { timeout: "60 seconds" }))
  )

const rolling: Fault = ({ rig, stream }) =>
  Effect.forEach(
    rig.servers,
    (server) => Effect.andThen(server.restart, awaitWhole(rig, stream))
  )

const lameDuck: Fault = (stage) =>
  Effect.flatMap(home(stage), (server) =>
    Effect.andThen(
      server.lameDuck,
      // It takes ten seconds until it closes its clients, and then ends by itself.
      Effect.andThen(Effect.timeoutOption(server.awaitExit, "8 seconds"), server.restart)
    ))

const ofServers: Readonly<Record<string, Fault>> = {
  "kill -9: the stream's leader": killed(streamLeader),
  "kill -9: the client's server": killed(home),
  "frozen: the stream's leader": frozen(streamLeader),
  "lame duck: the client's server": lameDuck
}

const ofConsumer: Readonly<Record<string, Fault>> = {
  "kill -9: the consumer's leader": killed(consumerLeader),
  "the consumer's leader steps down": steppedDown(({ consumer, stream }) =>
    `$JS.API.CONSUMER.LEADER.STEPDOWN.${stream}.${consumer}`
  )
}

const ofCluster: Readonly<Record<string, Fault>> = {
  "rolling restart": rolling,
  "the stream's leader steps down": steppedDown(({ stream }) => `$JS.API.STREAM.LEADER.STEPDOWN.${stream}`)
}

const ofLinks: Readonly<Record<string, Fault>> = {
  "link: FIN": links((proxy) => proxy.drop("FIN")),
  "link: RST": links((proxy) => proxy.drop("RST")),
  "link: refused for a while": links((proxy) => Effect.andThen(proxy.refuse, proxy.drop("RST")), 1_000),
  "link: half open": links((proxy) => proxy.swallow(), 3_000),
  "link: half open to the client": links((proxy) => proxy.swallow("toClient"), 3_000),
  "link: cut in the middle of a message": links(
    (proxy) =>
      Effect.andThen(proxy.drop(), proxy.cut({ direction: "toClient", bytes: 3_001 }, { how: "RST", times: 1 })),
    1_000
  ),
  "link: answers held, then cut": links(
    (proxy) => Effect.andThen(proxy.swallow("toClient"), Effect.andThen(Effect.sleep("300 millis"), proxy.drop("RST")))
  )
}

export const faultsOf = ({ replicas }: Rig, hasConsumer: boolean): Readonly<Record<string, Fault>> => ({
  ...ofServers,
  ...(replicas > 1 && hasConsumer ? ofConsumer : {}),
  ...(replicas > 1 ? ofCluster : {}),
  ...ofLinks
})

/**
 * One fault after the other, each once in an order of chance before any comes again, until the time is over. Between
 * them all replicas are there again: never are two of three away.
 */
export const breaking = (
  stage: Stage,
  isChosen: (name: string) => boolean,
  until: () => boolean,
  log: (name: string, since: number) => void
): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const { random, rig, stream } = stage
    const faults = faultsOf(rig, stage.consumer !== undefined)
    let names: Array<string> = []
    while (!until()) {
      if (names.length === 0) names = Object.keys(faults).filter(isChosen)
      if (names.length === 0) return
      const [name] = names.splice(Math.floor(random() * names.length), 1)
      const since = performance.now()
      yield* faults[name](stage)
      yield* awaitWhole(rig, stream)
      log(name, since)
      yield* Effect.sleep(500 + random() * 1_500)
    }
  })
