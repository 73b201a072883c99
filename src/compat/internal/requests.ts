/**
 * Requests as nats-core has them: of the client, or on an inbox of their own (`noMux`), which also takes what comes under
 * another subject than the inbox's, such as a message that is pulled from a stream.
 */
import {
  createInbox,
  Empty,
  errors,
  type Msg,
  type Payload,
  type RequestManyOptions,
  type RequestOptions,
  type Subscription,
  type SubscriptionOptions
} from "@nats-io/nats-core"
import { type Publisher, type QueuedIterator, QueuedIteratorImpl } from "@nats-io/nats-core/internal"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Stream from "effect/Stream"
import type { NatsClient } from "../../NatsClient.ts"
import { errorOf, requestErrorOf } from "./errors.ts"
import { headersOf, replied } from "./messages.ts"
import { type Sender, thrownOf } from "./sender.ts"

// As nats-core has them, in milliseconds.
const defaultWait = 1000
const defaultStall = 300

/** Of what may have waited in vain, in nats-core's own words. */
const problemOf = (wait: number, options: Partial<RequestOptions>): Error | undefined => {
  // Also of what is no number.
  if (!(wait >= 1)) return errors.InvalidArgumentError.format("timeout", "must be greater than 0")
  return options.noMux !== true && options.reply !== undefined && options.reply !== ""
    ? errors.InvalidArgumentError.format(["reply", "noMux"], "are mutually exclusive")
    : undefined
}

const words = new Set(
  (
    "INFO STREAM CONSUMER CREATE UPDATE DELETE NAMES LIST PURGE MSG GET NEXT DIRECT DURABLE LEADER STEPDOWN PAUSE RESET " +
    "UNPIN SNAPSHOT RESTORE PEER REMOVE ACCOUNT META SERVER"
  ).split(" ")
)

/**
 * Subjects of JetStream's API have filters of consumers in them, wildcards and all; and names that are made up, such as those
 * of ordered consumers: spans are named by what is asked.
 */
const forJetStream = (subject: string): { readonly wildcards?: true; readonly subjectTemplate?: string } => {
  if (!subject.includes(".API.")) return {}
  const tokens = subject.split(".")
  const first = tokens.indexOf("API") + 1
  const own = tokens.findIndex((token, index) => index >= first && !words.has(token))
  return {
    ...(subject.includes("*") || subject.includes(">") ? { wildcards: true } : {}),
    subjectTemplate: own < 0 ? subject : tokens.slice(0, own).join(".")
  }
}

const saysNoResponders = (message: Msg): boolean => message.data.length === 0 && message.headers?.code === 503

/** Sends a request whose answers come to that inbox. */
const publishFor = (
  reply: string,
  sender: Sender,
  subject: string,
  payload: Payload,
  { headers, traceDestination, traceOnly }: Partial<RequestOptions>
): void =>
  sender.publish(subject, payload, {
    reply,
    ...(headers === undefined ? {} : { headers }),
    ...(traceDestination === undefined ? {} : { traceDestination }),
    ...(traceOnly === undefined ? {} : { traceOnly })
  })

export interface Requesting {
  readonly client: NatsClient
  readonly sender: Sender
  readonly publisher: Publisher
  readonly inboxPrefix: string
  readonly subscribe: (subject: string, options: SubscriptionOptions) => Subscription
}

export const request = (
  { client, inboxPrefix, publisher, sender, subscribe }: Requesting,
  subject: string,
  payload: Payload = Empty,
  options: Partial<RequestOptions> = {}
): Promise<Msg> =>
  new Promise((resolve, reject) => {
    const timeout = options.timeout || defaultWait
    const problem = problemOf(timeout, options)
    if (problem !== undefined) throw problem
    if (options.noMux !== true) {
      const asked = {
        ...headersOf(options.headers, options),
        ...forJetStream(subject),
        timeout: Duration.millis(timeout)
      }
      sender.run(client.request(subject, payload, asked), (exit) => {
        if (Exit.isSuccess(exit)) resolve(replied(exit.value, publisher))
        else reject(thrownOf(exit.cause, requestErrorOf))
      })
      return
    }
    const inbox = options.reply || createInbox(inboxPrefix)
    const subscription = subscribe(inbox, {
      max: 1,
      timeout,
      callback: (error, message) => {
        const failure = error ?? (saysNoResponders(message) ? new errors.NoRespondersError(subject) : undefined)
        if (failure === undefined) {
          resolve(message)
        } else {
          const isOwn = failure instanceof errors.TimeoutError || failure instanceof errors.ClosedConnectionError
          reject(isOwn ? failure : new errors.RequestError(failure.message, { cause: failure }))
        }
        subscription.unsubscribe()
      }
    })
    try {
      publishFor(inbox, sender, subject, payload, options)
    } catch (error) {
      subscription.unsubscribe()
      throw error
    }
  })

export const requestMany = (
  requesting: Requesting,
  subject: string,
  payload: Payload = Empty,
  options: Partial<RequestManyOptions> = {}
): Promise<QueuedIterator<Msg>> =>
  Promise.resolve().then(() => {
    const wait = options.maxWait || defaultWait
    const problem = problemOf(wait, {})
    if (problem !== undefined) throw problem
    const replies = new QueuedIteratorImpl<Msg>()
    const take = (message: Msg): void => {
      replies.received++
      replies.push(message)
    }
    const end = (error?: Error): void => replies.push((() => replies.stop(error)) as unknown as Msg)
    const many = options.noMux === true ? onOwnInbox : onClient
    const cancel = many(requesting, subject, payload, options, wait, take, end)
    replies.iterClosed.then(cancel)
    return replies
  })

type Many = (
  requesting: Requesting,
  subject: string,
  payload: Payload,
  options: Partial<RequestManyOptions>,
  wait: number,
  take: (message: Msg) => void,
  end: (error?: Error) => void
) => () => void

const countOf = ({ maxMessages, strategy }: Partial<RequestManyOptions>): number =>
  strategy === "count" && maxMessages !== undefined && maxMessages > 0 ? maxMessages : Infinity

const onClient: Many = ({ client, publisher, sender }, subject, payload, options, wait, take, end) => {
  const replies = client.requestMany(subject, payload, {
    ...headersOf(options.headers, options),
    timeout: Duration.millis(wait),
    count: countOf(options),
    ...(options.strategy === "stall" ? { stall: Duration.millis(options.stall || defaultStall) } : {}),
    sentinel: options.strategy === "sentinel"
  })
  const all = Stream.runForEach(replies, (reply) => Effect.sync(() => take(replied(reply, publisher))))
  const fiber = sender.run(all, (exit) => {
    if (Exit.isSuccess(exit)) end()
    else end(thrownOf(exit.cause, errorOf) as Error)
  })
  return () => fiber.interruptUnsafe()
}

const onOwnInbox: Many = ({ inboxPrefix, sender, subscribe }, subject, payload, options, wait, take, end) => {
  const inbox = createInbox(inboxPrefix)
  let left = countOf(options)
  const finish = (error?: Error): void => {
    clearTimeout(timer)
    subscription.unsubscribe()
    end(error)
  }
  let timer = setTimeout(finish, wait)
  const subscription = subscribe(inbox, {
    callback: (error, message) => {
      if (error !== null) return finish(error)
      if (saysNoResponders(message)) return finish(new errors.NoRespondersError(subject))
      if (options.strategy === "sentinel" && message.data.length === 0) return finish()
      take(message)
      if (--left === 0) return finish()
      if (options.strategy === "stall") {
        clearTimeout(timer)
        timer = setTimeout(finish, options.stall || defaultStall)
      }
    }
  })
  // The end of the connection is no message.
  subscription.closed.then((error) => finish(error ?? undefined))
  try {
    publishFor(inbox, sender, subject, payload, options)
  } catch (error) {
    finish(error as Error)
  }
  return () => {
    clearTimeout(timer)
    subscription.unsubscribe()
  }
}
