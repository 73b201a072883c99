/**
 * The service that is measured: a request of six fields, an answer of four.
 */

export interface Order {
  readonly id: string
  readonly customer: string
  readonly sku: string
  readonly quantity: number
  readonly price: number
  readonly express: boolean
}

export const order: Order = {
  id: "o-12345",
  customer: "Ann Example",
  sku: "SKU-778",
  quantity: 3,
  price: 12.5,
  express: true
}

export interface Quote {
  readonly id: string
  readonly total: number
  readonly accepted: boolean
  readonly note: string
}

export const quoteOf = ({ express, id, price, quantity }: Order): Quote => ({
  id,
  total: price * quantity,
  accepted: express,
  note: "thank you"
})

/** Calls that the load generator makes: `inFlight` at the same time, `count` in all. `$N` in the body is the call's number. */
export interface Calls {
  readonly subject: string
  readonly body: string
  readonly inFlight: number
  readonly count: number
}

export const callsOf = (subject: string, inFlight: number, count: number): Calls => ({
  subject,
  inFlight,
  count,
  body: JSON.stringify(order)
})

/** Calls as a client of `NatsRpc` sends them. */
export const rpcCallsOf = (subject: string, inFlight: number, count: number): Calls => ({
  subject,
  inFlight,
  count,
  body: JSON.stringify({ _tag: "Request", id: "$N", tag: "price", payload: order, headers: [] })
})
