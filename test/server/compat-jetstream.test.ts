/** `@nats-io/jetstream` on a connection over a client: what it does on one of its own it does here. */
import { assert, it } from "@effect/vitest"
import {
  AckPolicy,
  type Consumer,
  DeliverPolicy,
  DiscardPolicy,
  jetstream,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstreamManager,
  type JsMsg,
  StorageType
} from "@nats-io/jetstream"
import { errors, type NatsConnection } from "@nats-io/nats-core"
import { Effect } from "effect"
import { TestNatsServer } from "effect-nats/testing"
import { connectCompat } from "../fixtures/recordedConnection.ts"
import { isAtLeast } from "../fixtures/serverVersion.ts"
import { rejection } from "../fixtures/thrown.ts"

interface Rig {
  readonly js: JetStreamClient
  readonly jsm: JetStreamManager
  readonly nc: NatsConnection
  readonly version: string
}

let streams = 0

/** A stream of its own, with messages "0", "1" … on one subject. */
const fill = async ({ js, jsm }: Rig, messages: number, config: object = {}): Promise<string> => {
  const name = `S${++streams}`
  await jsm.streams.add({ name, subjects: [`${name}.>`], ...config })
  for (let i = 0; i < messages; i++) await js.publish(`${name}.a`, String(i))
  return name
}

const consumerOf = async ({ js, jsm }: Rig, stream: string): Promise<Consumer> => {
  await jsm.consumers.add(stream, { durable_name: "all", ack_policy: AckPolicy.Explicit })
  return js.consumers.get(stream, "all")
}

/** The first so many, each acknowledged. */
const take = async (messages: AsyncIterable<JsMsg>, count: number): Promise<Array<string>> => {
  const texts: Array<string> = []
  for await (const message of messages) {
    texts.push(message.string())
    message.ack()
    if (texts.length === count) break
  }
  return texts
}

const numbers = (count: number, from = 0): Array<string> => Array.from({ length: count }, (_, i) => String(i + from))

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  "@nats-io/jetstream",
  (it) => {
    const works = (title: string, body: (rig: Rig) => Promise<void>): void => {
      it.effect(title, () =>
        Effect.scoped(Effect.gen(function*() {
          const server = yield* TestNatsServer.TestNatsServer
          const { missing, nc } = yield* connectCompat({ servers: server.url })
          yield* Effect.promise(async () => {
            await body({ nc, js: jetstream(nc), jsm: await jetstreamManager(nc), version: server.version })
          })
          assert.deepStrictEqual([...missing], [])
        })))
    }

    works("streams: create, info, update, list, names, purge, delete of a message and of the stream", async (rig) => {
      const { jsm } = rig
      const name = await fill(rig, 3, { storage: StorageType.Memory })
      assert.strictEqual((await jsm.streams.info(name)).state.messages, 3)
      await jsm.streams.update(name, { subjects: [`${name}.>`], discard: DiscardPolicy.New })
      assert.strictEqual((await jsm.streams.info(name)).config.discard, DiscardPolicy.New)
      assert.strictEqual(await jsm.streams.find(`${name}.a`), name)
      assert.include((await jsm.streams.list().next()).map(({ config }) => config.name), name)
      assert.isTrue(await jsm.streams.deleteMessage(name, 2))
      assert.strictEqual((await jsm.streams.purge(name)).purged, 2)
      assert.isTrue(await jsm.streams.delete(name))
      const gone = await rejection(jsm.streams.info(name))
      assert.instanceOf(gone, JetStreamApiError)
      assert.isAtLeast((await jsm.getAccountInfo()).api.total, 1)
    })

    works("consumers: create, info, update, list, delete", async (rig) => {
      const { jsm } = rig
      const name = await fill(rig, 2)
      await jsm.consumers.add(name, { durable_name: "one", ack_policy: AckPolicy.Explicit })
      await jsm.consumers.update(name, "one", { description: "changed" })
      assert.strictEqual((await jsm.consumers.info(name, "one")).config.description, "changed")
      assert.deepStrictEqual((await jsm.consumers.list(name).next()).map((each) => each.name), ["one"])
      assert.isTrue(await jsm.consumers.delete(name, "one"))
      assert.instanceOf(await rejection(jsm.consumers.info(name, "one")), JetStreamApiError)
    })

    works("a consumer is paused and resumed where the server can, and times out where it cannot", async (rig) => {
      const name = await fill(rig, 1)
      await rig.jsm.consumers.add(name, { durable_name: "one", ack_policy: AckPolicy.Explicit })
      if (isAtLeast(rig.version, 2, 11)) {
        assert.isTrue((await rig.jsm.consumers.pause(name, "one", new Date(Date.now() + 60_000))).paused)
        assert.isFalse((await rig.jsm.consumers.resume(name, "one")).paused)
      } else {
        const jsm = await jetstreamManager(rig.nc, { timeout: 500, checkAPI: false })
        const late = await rejection(jsm.consumers.pause(name, "one", new Date(Date.now() + 60_000)))
        assert.instanceOf(late, errors.TimeoutError)
        assert.propertyVal(late.cause, "_tag", "RequestTimedOut")
      }
    })

    works("1,000 publishes at once are all acknowledged, and one message id is stored once", async (rig) => {
      const name = await fill(rig, 0)
      const acks = await Promise.all(numbers(1000).map((text) => rig.js.publish(`${name}.a`, text)))
      assert.deepStrictEqual(acks.map(({ seq }) => seq).toSorted((a, b) => a - b), numbers(1000, 1).map(Number))
      const first = await rig.js.publish(`${name}.a`, "once", { msgID: "id-1" })
      const again = await rig.js.publish(`${name}.a`, "once", { msgID: "id-1" })
      assert.deepStrictEqual([first.duplicate, again.duplicate, again.seq], [false, true, first.seq])
      const wrong = await rejection(rig.js.publish(`${name}.a`, "x", { expect: { lastSequence: 5 } }))
      assert.instanceOf(wrong, JetStreamApiError)
    })

    works("fetch, next and ackAck", async (rig) => {
      const consumer = await consumerOf(rig, await fill(rig, 12))
      const fetched = await consumer.fetch({ max_messages: 10, expires: 2000 })
      const texts: Array<string> = []
      for await (const message of fetched) {
        texts.push(message.string())
        assert.isTrue(await message.ackAck())
        assert.isFalse(await message.ackAck())
      }
      assert.deepStrictEqual(texts, numbers(10))
      assert.strictEqual((await consumer.info()).ack_floor.stream_seq, 10)
      const next = await consumer.next({ expires: 2000 })
      assert.strictEqual(next?.string(), "10")
      next?.nak()
      // A server may give the one behind it before it has seen the nak.
      const others = [await consumer.next({ expires: 2000 }), await consumer.next({ expires: 2000 })]
      const [again, last] = others.toSorted((a, b) => Number(a?.seq) - Number(b?.seq))
      assert.deepStrictEqual([again?.string(), again?.info.deliveryCount], ["10", 2])
      again?.term()
      last?.working()
      assert.isTrue(await last?.ackAck())
      assert.isNull(await consumer.next({ expires: 1000 }))
    })

    works("consume by iterator and by callback", async (rig) => {
      const messages = await (await consumerOf(rig, await fill(rig, 250))).consume({ max_messages: 50 })
      assert.deepStrictEqual(await take(messages, 250), numbers(250))
      const called: Array<string> = []
      const consumer = await consumerOf(rig, await fill(rig, 50))
      const all = Promise.withResolvers<void>()
      const consuming = await consumer.consume({
        max_messages: 20,
        callback: (message) => {
          called.push(message.string())
          message.ack()
          if (called.length === 50) all.resolve()
        }
      })
      await all.promise
      assert.deepStrictEqual(called, numbers(50))
      assert.isUndefined(await consuming.close())
    })

    works("an ordered consumer has all in order, and again after its consumer is lost", async (rig) => {
      const name = await fill(rig, 30)
      const consumer = await rig.js.consumers.get(name)
      const messages = await consumer.consume({ max_messages: 10, idle_heartbeat: 500, expires: 1000 })
      const texts: Array<string> = []
      for await (const message of messages) {
        texts.push(message.string())
        if (texts.length === 15) {
          // By which the library makes another one under another inbox: `_resub`.
          const [own] = await rig.jsm.consumers.list(name).next()
          await rig.jsm.consumers.delete(name, own.name)
        }
        if (texts.length === 30) await rig.js.publish(`${name}.a`, "30")
        if (texts.length === 31) break
      }
      assert.deepStrictEqual(texts, numbers(31))
    })

    works("a push consumer, and an ordered one that is pushed", async (rig) => {
      const name = await fill(rig, 20)
      await rig.jsm.consumers.add(name, {
        durable_name: "pushed",
        deliver_subject: `deliver.${name}`,
        ack_policy: AckPolicy.Explicit,
        deliver_policy: DeliverPolicy.All,
        idle_heartbeat: 1_000_000_000,
        flow_control: true
      })
      const consumer = await rig.js.consumers.getPushConsumer(name, "pushed")
      assert.deepStrictEqual(await take(await consumer.consume(), 20), numbers(20))
      const ordered = await rig.js.consumers.getPushConsumer(name)
      assert.deepStrictEqual(await take(await ordered.consume(), 20), numbers(20))
    })

    works("direct get, one and in a batch where the server has it", async (rig) => {
      const name = await fill(rig, 5, { allow_direct: true })
      const one = await rig.jsm.direct.getMessage(name, { seq: 2 })
      assert.deepStrictEqual([one?.string(), one?.seq], ["1", 2])
      assert.isNull(await rig.jsm.direct.getMessage(name, { seq: 99 }))
      const batch = rig.jsm.direct.getBatch(name, { seq: 1, batch: 4 })
      if (isAtLeast(rig.version, 2, 11)) {
        const texts: Array<string> = []
        for await (const message of await batch) texts.push(message.string())
        assert.deepStrictEqual(texts, numbers(4))
      } else {
        // By the version of the server: `features`.
        assert.match((await rejection(batch)).message, /require server 2\.11/)
      }
    })

    works("an atomic batch where the server has it", async (rig) => {
      const isAtomic = isAtLeast(rig.version, 2, 12)
      const name = await fill(rig, 0, isAtomic ? { allow_atomic: true } : {})
      const batch = await rig.js.startBatch(`${name}.a`, "0")
      batch.add(`${name}.a`, "1")
      await batch.add(`${name}.a`, "2", { ack: true })
      const committing = batch.commit(`${name}.a`, "3")
      if (isAtomic) assert.strictEqual((await committing).count, 4)
      else await rejection(committing)
      assert.strictEqual((await rig.jsm.streams.info(name)).state.messages, 4)
    })

    works("a subject without a stream: what the library makes of it leads to ours", async (rig) => {
      const error = await rejection(rig.js.publish("no.stream", "x"))
      const request = error.cause
      assert.instanceOf(request, errors.RequestError)
      assert.isTrue(request.isNoResponders())
      assert.instanceOf(request.cause, errors.NoRespondersError)
      assert.propertyVal(request.cause.cause, "_tag", "NoResponders")
    })

    works("a pulled message comes to a request with `noMux`, under its own subject", async (rig) => {
      const name = await fill(rig, 1)
      await consumerOf(rig, name)
      const message = await rig.nc.request(`$JS.API.CONSUMER.MSG.NEXT.${name}.all`, JSON.stringify({ batch: 1 }), {
        timeout: 2000,
        noMux: true
      })
      assert.deepStrictEqual([message.subject, message.string()], [`${name}.a`, "0"])
    })
  }
)
