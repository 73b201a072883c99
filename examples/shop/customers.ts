/**
 * The other side of the counter: orders over HTTP, one by one and many at a time, and what came of them.
 */
import { Effect, Queue } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"

/** What the gateway answers to an order by each card. */
const statusOf = { good: 201, empty: 402, cursed: 500 } as const

export type Card = keyof typeof statusOf

export const order = Effect.fnUntraced(function*(quantity: number, card: Card) {
  const request = HttpClientRequest.bodyJsonUnsafe(HttpClientRequest.post("/orders"), { item: "pen", quantity, card })
  const response = yield* HttpClient.execute(request)
  return { status: response.status, text: yield* response.text, trace: response.headers["x-trace-id"] ?? "" }
})

/** In 100 orders 90 are good, 9 are declined, and 1 meets a fault. */
const cardOf = (i: number): Card => i % 100 === 99 ? "cursed" : i % 10 === 9 ? "empty" : "good"

export interface Answers {
  readonly answered: number
  /** Answers by status. */
  readonly counts: ReadonlyMap<number, number>
  /** Orders without an answer, or with another one than their card gets. */
  readonly failed: number
}

/** Sends so many orders, 50 at a time. `progress` gets an element with each thousandth answer. No order is sent twice. */
export const load = Effect.fnUntraced(function*(orders: number, progress: Queue.Queue<number>) {
  const counts = new Map<number, number>()
  let [answered, failed] = [0, 0]
  const one = Effect.fnUntraced(function*(i: number) {
    const card = cardOf(i)
    const status = yield* Effect.match(order(1, card), {
      onSuccess: ({ status }) => status,
      onFailure: () => undefined
    })
    if (status !== statusOf[card]) failed++
    if (status === undefined) return
    counts.set(status, (counts.get(status) ?? 0) + 1)
    answered++
    if (answered % 1_000 === 0) Queue.offerUnsafe(progress, answered)
  })
  yield* Effect.forEach(Array.from({ length: orders }, (_, i) => i), one, { concurrency: 50, discard: true })
  return { answered, counts, failed } satisfies Answers
})

/** The page of the gateway, with the spans of one request. Gives the lines below a title. */
export const readPage = Effect.fnUntraced(function*(trace: string) {
  const response = yield* HttpClient.get("/", { urlParams: { trace } })
  const html = yield* response.text
  return (title: string): ReadonlyArray<string> =>
    html.split(`<h2>${title}</h2>\n<pre>\n`)[1].split("\n</pre>")[0].split("\n")
      .map((line) => line.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code))))
})
