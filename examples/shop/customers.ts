/**
 * The other side of the counter: orders over HTTP, one by one and many at a time, and what came of them.
 */
import { Console, Deferred, Effect, Queue } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { randomUUID } from "node:crypto"

/** What the gateway answers to an order by each card. */
const statusOf = { good: 201, empty: 402, cursed: 500 } as const

export type Card = keyof typeof statusOf

export interface Wish {
  readonly id: string
  readonly quantity: number
  readonly card: Card
}

export const wish = (quantity: number, card: Card): Wish => ({ id: randomUUID(), quantity, card })

/** Sends an order, once. */
export const send = Effect.fnUntraced(function*(wish: Wish) {
  const request = HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/orders"), { item: "pen", ...wish })
  const response = yield* HttpClient.execute(request)
  return { status: response.status, text: yield* response.text, trace: response.headers["x-trace-id"] ?? "" }
})

/** Sends an order until it is known what came of it: under its id it stays one. The trace is that of the first time. */
export const order = Effect.fnUntraced(function*(wish: Wish) {
  const first = yield* send(wish)
  if (first.status !== 202) return first
  const last = yield* Effect.repeat(send(wish), { until: ({ status }) => status !== 202 })
  return { ...last, trace: first.trace }
})

export const show = (title: string, { status, text }: { readonly status: number; readonly text: string }) =>
  Console.log(`${title}: ${status} ${text}`.trimEnd())

export const ordered = (title: string, wish: Wish) => Effect.tap(order(wish), (answer) => show(title, answer))

/** In 100 orders 90 are good, 9 are declined, and 1 meets a fault. */
const cardOf = (i: number): Card => i % 100 === 99 ? "cursed" : i % 10 === 9 ? "empty" : "good"

/** Sends orders at a leisurely pace, for ever. */
export const trickle = Effect.gen(function*() {
  for (let sent = 0;; sent++) {
    yield* Effect.forkChild(Effect.ignore(order(wish(1, cardOf(sent)))))
    yield* Effect.sleep(50 + 200 * Math.abs(Math.sin(sent / 40)))
  }
})

export interface Answers {
  readonly answered: number
  /** Answers by status. */
  readonly counts: ReadonlyMap<number, number>
  /** Orders without an answer, or with another one than their card gets. */
  readonly failed: number
}

/** Sends orders, 50 at a time, until it is enough. `progress` gets an element with each fiftieth answer. */
export const load = Effect.fnUntraced(function*(enough: Deferred.Deferred<void>, progress: Queue.Queue<number>) {
  const counts = new Map<number, number>()
  let [sent, answered, failed] = [0, 0, 0]
  const one = Effect.fnUntraced(function*(card: Card) {
    const status = yield* Effect.match(order(wish(1, card)), {
      onSuccess: ({ status }) => status,
      onFailure: () => undefined
    })
    if (status !== statusOf[card]) failed++
    if (status === undefined) return
    counts.set(status, (counts.get(status) ?? 0) + 1)
    answered++
    if (answered % 50 === 0) Queue.offerUnsafe(progress, answered)
  })
  const customer = Effect.repeat(Effect.suspend(() => one(cardOf(sent++))), { until: () => Deferred.isDone(enough) })
  yield* Effect.all(Array.from({ length: 50 }, () => customer), { concurrency: "unbounded", discard: true })
  return { answered, counts, failed } satisfies Answers
})

/** The report of the gateway, with the spans of one request. Gives the lines below a title. */
export const readReport = Effect.fnUntraced(function*(trace: string) {
  const response = yield* HttpClient.get("/report", { urlParams: { trace } })
  const html = yield* response.text
  return (title: string): ReadonlyArray<string> =>
    html.split(`<h2>${title}</h2>\n<pre>\n`)[1].split("\n</pre>")[0].split("\n")
      .map((line) => line.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))))
})
