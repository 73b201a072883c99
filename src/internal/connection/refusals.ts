/**
 * What a server refuses while the connection stays, brought to whom it concerns.
 *
 * All of it comes in the read loop, where nothing of the user's runs. So what is refused within one turn is looked for
 * once for all of it: a client can have thousands of requests in flight to a subject that is denied, and a server that
 * sends nothing but errors must not keep it busy.
 */
import { PermissionsViolation, SubscriptionLimitExceeded } from "../../NatsError.ts"
import type { StatusEvent } from "../../NatsStatus.ts"
import type { Delivery } from "../delivery/delivery.ts"
import type { RequestMux } from "../delivery/requests.ts"
import { printable } from "../protocol/printable.ts"
import {
  parsePermissionsViolation,
  type PermissionsViolationText,
  saysTooManySubscriptions,
  serverErrorText
} from "../protocol/serverError.ts"
import type { SecretFilter } from "../wire/secretFilter.ts"
import type { Opening } from "../wire/session.ts"
import type { ConfirmWatch } from "./outgoing.ts"

/** What is refused something. */
export interface Refusable {
  readonly mux: RequestMux
  readonly subscriptions: ReadonlyMap<number, Delivery>
  readonly filter: SecretFilter
  /** It ends, and the server does not have it. */
  refused(subscription: Delivery, error: PermissionsViolation | SubscriptionLimitExceeded): void
  emit(event: StatusEvent): void
}

/** Called outside the read loop, with what gives the error for a subject that may not be published to. */
export type DeniedListener = (errorFor: (subject: string) => PermissionsViolation | undefined) => void

/** Of the different things that a server says within a turn, so many are told as events. */
const mostTold = 128

/** A subject, or a queue group, that a server names may be as long, and no longer, to be shown. */
const longestName = 1024

export class Refusals {
  readonly watches = new Set<ConfirmWatch>()
  /** What waits for answers to messages of its own, beside the requests of the client. Events are bounded, and may not tell. */
  readonly listeners = new Set<DeniedListener>()
  /** Of this turn: subjects that may not be published to, and what has been told. */
  private denied: Set<string> | undefined
  private readonly told = new Set<string>()
  private readonly connection: Refusable

  constructor(connection: Refusable) {
    this.connection = connection
  }

  /** `opening` is the subscription whose SUB the server handles, if it handles one. */
  serverError(text: string, opening: Opening | undefined): void {
    const denial = parsePermissionsViolation(text)
    if (denial === undefined) {
      if (opening !== undefined && saysTooManySubscriptions(text)) this.tooMany(opening)
      this.tell(text, () => ({ _tag: "ServerComplaint", text: this.connection.filter.shown(text, serverErrorText) }))
    } else if (denial.operation === "publish") this.publishDenied(denial)
    else this.subscribeDenied(text, denial, opening)
  }

  // Two that say the same in one turn are told once.
  private tell(key: string, event: () => StatusEvent): void {
    if (this.told.size >= mostTold || this.told.has(key)) return
    if (this.told.size === 0) queueMicrotask(this.turned)
    this.told.add(key)
    this.connection.emit(event())
  }

  private readonly turned = (): void => this.told.clear()

  private tooMany({ sid }: Opening): void {
    const { mux, subscriptions } = this.connection
    if (sid === mux.sid) return this.inboxRefused(new SubscriptionLimitExceeded({ subject: mux.pattern }))
    const subscription = subscriptions.get(sid)
    if (subscription === undefined) return
    const { queue, subject } = subscription.settings
    this.connection.refused(
      subscription,
      new SubscriptionLimitExceeded({ subject, ...(queue === undefined ? {} : { queue }) })
    )
  }

  private inboxRefused(error: PermissionsViolation | SubscriptionLimitExceeded): void {
    this.connection.mux.subscribed = false
    this.connection.mux.failAll(error)
  }

  private publishDenied({ subject }: PermissionsViolationText): void {
    if (this.denied === undefined) {
      this.denied = new Set()
      queueMicrotask(this.settleDenied)
    }
    this.denied.add(subject)
    this.tell(subject, () => ({ _tag: "PermissionDenied", error: this.denial("publish", subject) }))
  }

  // Before those who wait for a PONG of this turn go on.
  private readonly settleDenied = (): void => {
    const denied = this.denied!
    this.denied = undefined
    const errors = new Map<string, PermissionsViolation>()
    const errorFor = (subject: string): PermissionsViolation | undefined => {
      if (!denied.has(subject)) return undefined
      const error = errors.get(subject) ?? this.denial("publish", subject)
      errors.set(subject, error)
      return error
    }
    for (const watch of this.watches) watch.denied ??= errorFor(watch.subject) ?? errorFor(watch.reply)
    this.connection.mux.failEach(errorFor)
    for (const listener of this.listeners) listener(errorFor)
  }

  private subscribeDenied(text: string, { queue: named, subject }: PermissionsViolationText, opening?: Opening): void {
    const { mux, subscriptions } = this.connection
    const withdrawn = subscriptions.get(subscriptionIn(text))
    const queue = named ?? withdrawn?.settings.queue
    let made: PermissionsViolation | undefined
    const error = (): PermissionsViolation => made ??= this.denial("subscribe", subject, queue)
    const isMeant = ({ settings }: Delivery): boolean => settings.subject === subject && settings.queue === queue
    const opened = opening === undefined ? undefined : subscriptions.get(opening.sid)
    if (subject === mux.pattern) this.inboxRefused(error())
    else if (withdrawn !== undefined) this.connection.refused(withdrawn, error())
    else if (opened !== undefined && isMeant(opened)) this.connection.refused(opened, error())
    else {
      // Without a number, and of no SUB on its way, every one with this subject and queue group is meant.
      for (const each of subscriptions.values()) if (isMeant(each)) this.connection.refused(each, error())
    }
    this.tell(text, () => ({ _tag: "PermissionDenied", error: error() }))
  }

  // Whom it concerns is found by what the server said, and this is what is shown of it.
  private denial(operation: "publish" | "subscribe", subject: string, queue?: string): PermissionsViolation {
    const shown = (name: string): string => this.connection.filter.shown(name, (raw) => printable(raw, longestName))
    return new PermissionsViolation({
      operation,
      subject: shown(subject),
      ...(queue === undefined ? {} : { queue: shown(queue) })
    })
  }
}

/**
 * The number of the subscription that a denial ends with. A server that takes a permission away by reload names it, and
 * up to 2.10 not the queue group. No subject or queue group can look like this: they have no spaces.
 */
const subscriptionIn = (text: string): number => Number(/ \(sid "(\d+)"\)'?\s*$/.exec(text)?.[1])
