/**
 * From the name of a server to its addresses, and from several addresses to the first session (after RFC 8305).
 */
import * as Effect from "effect/Effect"
import type { Attempt, ConnectError } from "../../ConnectError.ts"
import { isIP } from "../identity/hostNames.ts"
import { lazyDns } from "../identity/lazyBuiltins.ts"
import { formatServer, type ServerAddress } from "../protocol/serverAddress.ts"
import { fromLookup, type Named, timedOut } from "./connectFailure.ts"
import type { DialTrace } from "./dialTracing.ts"
import type { SecretFilter } from "./secretFilter.ts"
import type { Session } from "./session.ts"

/** What became of one address. Called at most once. */
export interface AddressOutcome {
  opened(session: Session): void
  /** With `offered` the owner had a session and it is over: no other address may give it a second one. */
  failed(error: ConnectError, offered: boolean): void
}

/** The dial of one address, with no clock of its own. */
export interface AddressDial {
  start(outcome: AddressOutcome): void
  /** Most of the time is over. */
  poke(): void
  /** Fails for the time that was waited, if it has not failed. */
  expire(): void
  /** Lets go, without an outcome. */
  abort(): void
}

export interface RaceOptions {
  readonly server: ServerAddress
  readonly filter: SecretFilter
  readonly timeoutMillis: number
  /** Milliseconds since the race began. */
  readonly elapsed: () => number
  /** `waited` gives for how long the address has been tried. */
  readonly dialAddress: (address: string, waited: () => number) => AddressDial
  readonly mostTelling: (attempts: ReadonlyArray<Attempt>) => ConnectError
  readonly trace: DialTrace | undefined
}

interface Run {
  readonly address: string
  readonly dial: AddressDial
  error: ConnectError | undefined
}

/** After this time, in milliseconds, the next address is tried beside those that are still being tried. */
const staggerMillis = 1000

/**
 * Addresses are begun one after the other: each when the one before has had its time, or at once when one has failed. The
 * first that gets through CONNECT wins, and the others are let go in the same turn, so that the owner has one session.
 */
export class AddressRace {
  private readonly options: RaceOptions
  private readonly runs: Array<Run> = []
  private resume: (outcome: Effect.Effect<Session, ConnectError>) => void = () => {}
  /** There are addresses that have not been begun. */
  private more = false
  /** An address has failed since that was last looked at. */
  private news = false
  private wake: (() => void) | undefined
  private timeIsUp = false
  private over = false

  constructor(options: RaceOptions) {
    this.options = options
  }

  start(resume: (outcome: Effect.Effect<Session, ConnectError>) => void): void {
    this.resume = resume
    const { host } = this.options.server
    if (isIP(host) !== 0) {
      this.begin(host)
    }
  }

  /** For a host that is no address: finds its addresses and begins them. Never succeeds. */
  readonly lead: Effect.Effect<never, ConnectError> = Effect.suspend(() => {
    const { server } = this.options
    return lookUp(server.host).pipe(
      Effect.mapError((cause) => fromLookup(this.named, cause)),
      Effect.tap((addresses) => Effect.sync(() => this.options.trace?.lookedUp(addresses))),
      Effect.flatMap((addresses) => this.beginAll(addresses))
    )
  })

  poke(): void {
    for (const { dial } of this.runs) dial.poke()
  }

  /** The time of all is over. */
  expire(): void {
    this.timeIsUp = true
    if (this.runs.length === 0) {
      return this.settle(Effect.fail(timedOut(this.named, "lookup", this.options.timeoutMillis)))
    }
    this.giveUp()
  }

  /** The dialling fiber is gone. A session that was opened belongs to the owner and stays. */
  abort(): void {
    this.over = true
    for (const { dial } of this.runs) dial.abort()
  }

  private readonly beginAll = (addresses: ReadonlyArray<string>): Effect.Effect<never> =>
    Effect.gen({ self: this }, function*() {
      // A short timeout is shared out, so that each address has its turn.
      const pause = Math.min(staggerMillis, this.options.timeoutMillis / (addresses.length + 1))
      for (const [index, address] of addresses.entries()) {
        this.more = index < addresses.length - 1
        this.begin(address)
        if (this.more) yield* Effect.timeoutOption(this.failure, pause)
      }
      if (addresses.length > 1) {
        // Where one has given an answer that stays the same, as that a password is wrong, nobody waits long for addresses
        // that lead nowhere.
        while (!this.runs.some(({ error }) => error?.isRetryable === false)) yield* this.failure
        yield* Effect.sleep(pause)
        this.giveUp()
      }
      return yield* Effect.never
    })

  private begin(address: string): void {
    if (this.over) return
    const { dialAddress, elapsed, timeoutMillis } = this.options
    // What came before the first address, its lookup, is part of its time.
    const since = this.runs.length === 0 ? 0 : elapsed()
    const waited = (): number =>
      Math.max(0, Math.round((this.timeIsUp ? timeoutMillis : Math.min(elapsed(), timeoutMillis)) - since))
    const dial = dialAddress(address, waited)
    const run: Run = { address, dial, error: undefined }
    this.runs.push(run)
    dial.start({
      opened: (session) => this.settle(Effect.succeed(session)),
      failed: (error, offered) => {
        run.error = error
        this.options.trace?.failed(address, error)
        if (offered) return this.settle(Effect.fail(error))
        this.conclude()
        this.news = true
        this.wake?.()
      }
    })
  }

  /** Waits until an address has failed since it was last waited for. */
  private readonly failure: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const done = (): void => {
      this.news = false
      this.wake = undefined
      resume(Effect.void)
    }
    if (this.news) return done()
    this.wake = done
    return Effect.sync(() => {
      this.wake = undefined
    })
  })

  /** No address is begun any more, and those that are being tried have had their time. */
  private giveUp(): void {
    if (this.over) return
    this.more = false
    for (const { dial } of this.runs) dial.expire()
    this.conclude()
  }

  /** Fails when all have failed. */
  private conclude(): void {
    if (this.over || this.more) return
    const { mostTelling, server } = this.options
    const attempts: Array<Attempt> = []
    for (const { address, error } of this.runs) {
      if (error === undefined) return
      attempts.push({ server: formatServer(addressOf(server, address)), error })
    }
    this.settle(Effect.fail(mostTelling(attempts)))
  }

  private get named(): Named {
    const { filter, server } = this.options
    return { filter, server: formatServer(server) }
  }

  private settle(outcome: Effect.Effect<Session, ConnectError>): void {
    if (!this.over) {
      this.abort()
      this.resume(outcome)
    }
  }
}

/** What may not be shown of a name does not stand in the address that the system gave for it. */
const addressOf = (server: ServerAddress, address: string): ServerAddress =>
  address === server.host ? server : { ...server, host: address, label: undefined }

/**
 * The addresses of a name as the system orders them, the two families by turns, so that one that leads nowhere costs one
 * wait. A lookup cannot be cancelled; after an interruption its answer is not looked at.
 */
const lookUp = (host: string): Effect.Effect<ReadonlyArray<string>, unknown> =>
  Effect.callback((resume) => {
    try {
      lazyDns().lookup(host, { all: true }, (error, found) => {
        const addresses = error === null || error === undefined ? addressesOf(found) : []
        resume(addresses.length === 0 ? Effect.fail(error ?? undefined) : Effect.succeed(byTurns(addresses)))
      })
    } catch (cause) {
      resume(Effect.fail(cause))
    }
  })

/** Each once. A replaced `lookup` may not know `all`, and give one. */
const addressesOf = (found: unknown): ReadonlyArray<string> => {
  const list: ReadonlyArray<unknown> = Array.isArray(found) ? found : [found]
  const addresses = list.map((each) =>
    typeof each === "object" && each !== null && "address" in each ? each.address : each
  )
  return [...new Set(addresses.filter((address) => typeof address === "string" && isIP(address) !== 0))] as Array<
    string
  >
}

const byTurns = (addresses: ReadonlyArray<string>): ReadonlyArray<string> => {
  const family = isIP(addresses[0])
  const first = addresses.filter((address) => isIP(address) === family)
  const second = addresses.filter((address) => isIP(address) !== family)
  return first.flatMap((address, index) => [address, ...second.slice(index, index + 1)]).concat(
    second.slice(first.length)
  )
}
