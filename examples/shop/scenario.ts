/**
 * What happens to the fleet: failures, one by one, and a restart of all of it while orders come.
 */
import { Console, Deferred, Effect, Fiber, type Layer, Queue, Schedule } from "effect"
import { HttpClient } from "effect/http"
import { load, ordered, send, show, trickle, wish } from "./customers.ts"
import { start, startProcess } from "./instances.ts"
import * as Orders from "./orders.ts"
import * as Payments from "./payments.ts"
import * as Stock from "./stock.ts"

/** Says what holds, and ends the program where it does not. */
export const proved = (holds: boolean, what: string) =>
  holds ? Console.log(what) : Effect.die(new Error(`This does not hold: ${what}`))

/** Each failure arrives as what it is, and the other services go on. Two orders are placed. */
const failures = Effect.gen(function*() {
  const payments = yield* start("payments-1", Payments.instance)
  const pen = wish(1, "good")
  yield* ordered("a pen", pen)
  yield* ordered("the same order again", pen)
  yield* ordered("an empty card", wish(1, "empty"))
  yield* ordered("too many pens", wish(1_000_000, "good"))
  yield* ordered("no pens", wish(0, "good"))
  yield* ordered("a card that payments dies of", wish(1, "cursed"))
  yield* payments.stop
  const waiting = wish(1, "good")
  yield* show("payments is away, and the order waits", yield* send(waiting))
  const left = yield* HttpClient.get("/stock/pen")
  yield* show("stock is not", { status: left.status, text: yield* left.text })
  yield* start("payments-2", Payments.instance)
  yield* ordered("payments is back", waiting)
})

/** Kills orders-1 when it waits for charges that the bank has made, and has not told it of. Gives how many. */
const killUnheard = Effect.fnUntraced(function*(kill: Effect.Effect<void>) {
  const { answers, charged } = yield* Payments.Bank
  yield* answers.close
  const before = charged.size
  const unheard = yield* Effect.repeat(Effect.sync(() => charged.size - before), {
    until: (more) => more >= 5,
    schedule: Schedule.spaced("5 millis")
  })
  yield* kill
  yield* answers.open
  return unheard
})

/** Replaces every instance while orders come. The new one is there before the old one goes, but where that is killed. */
export const rollingRestart = Effect.gen(function*() {
  const stock1 = yield* start("stock-1", Stock.instance)
  const stock2 = yield* start("stock-2", Stock.instance)
  const orders1 = yield* startProcess("orders-1")
  yield* failures

  yield* Console.log("Orders, 50 at a time. Meanwhile:")
  const progress = yield* Queue.unbounded<number>()
  const enough = yield* Deferred.make<void>()
  const running = yield* Effect.forkChild(load(enough, progress))
  const next = <E, R>(name: string, instance: Layer.Layer<never, E, R>) =>
    Effect.andThen(Queue.take(progress), start(name, instance))
  const inPlaceOf = (name: string, old: string) => Console.log(`  ${name} has taken the place of ${old}.`)

  const stock3 = yield* next("stock-3", Stock.instance)
  yield* stock1.stop
  yield* inPlaceOf("stock-3", "stock-1")
  const stock4 = yield* next("stock-4", Stock.instance)
  yield* stock2.stop
  yield* inPlaceOf("stock-4", "stock-2")
  yield* Queue.take(progress)
  const unheard = yield* killUnheard(orders1.kill)
  yield* Console.log(`  orders-1 is killed. It had not heard of ${unheard} charges.`)
  const orders2 = yield* start("orders-2", Orders.instance)
  yield* Queue.clear(progress)
  yield* Queue.take(progress)
  yield* inPlaceOf("orders-2", "orders-1")
  const orders3 = yield* next("orders-3", Orders.instance)
  yield* orders2.stop
  yield* inPlaceOf("orders-3", "orders-2")
  yield* Queue.take(progress)
  yield* Deferred.succeed(enough, undefined)

  const { answered, counts, failed } = yield* Fiber.join(running)
  const placed = counts.get(201) ?? 0
  yield* proved(
    failed === 0,
    `${answered} answered, ${failed} failed: ${placed} placed, ${counts.get(402)} declined, ${counts.get(500)} faults.`
  )
  const stop = Effect.all([stock3.stop, stock4.stop, orders3.stop], { discard: true })
  return { placed: placed + 2, unheard, stop }
})

/** Nothing happens to the fleet, and some orders come. */
export const quietDay = Effect.gen(function*() {
  yield* start("stock-1", Stock.instance)
  yield* start("stock-2", Stock.instance)
  yield* start("payments-1", Payments.instance)
  yield* start("orders-1", Orders.instance)
  return yield* trickle
})
