/**
 * Who listens to the statuses of a connection, and to its end.
 */
import type { Status } from "@nats-io/nats-core"
import { type ConnectionClosedListener, QueuedIteratorImpl } from "@nats-io/nats-core/internal"

export class StatusFeed {
  private readonly iterators = new Set<QueuedIteratorImpl<Status>>()
  private listeners: ReadonlyArray<ConnectionClosedListener> = []
  private isOver = false

  /** An iterator of its own, which can be stopped. */
  open(): QueuedIteratorImpl<Status> {
    const iterator = new QueuedIteratorImpl<Status>()
    if (this.isOver) {
      end(iterator)
    } else {
      this.iterators.add(iterator)
      iterator.iterClosed.then(() => this.iterators.delete(iterator))
    }
    return iterator
  }

  tell(status: Status): void {
    for (const iterator of this.iterators) {
      iterator.received++
      iterator.push(status)
    }
  }

  addListener(listener: ConnectionClosedListener): void {
    this.listeners = [...this.listeners, listener]
  }

  removeListener(listener: ConnectionClosedListener): void {
    this.listeners = this.listeners.filter((each) => each !== listener)
  }

  /** Tells the end, and ends the iterators behind what they have. */
  close(error: Error | undefined): void {
    if (this.isOver) return
    this.isOver = true
    for (const iterator of this.iterators) end(iterator)
    this.iterators.clear()
    const listeners = this.listeners
    this.listeners = []
    for (const listener of listeners) {
      try {
        listener.connectionClosedCallback(error)
      } catch {
        // Of a library that is done anyway: the others are told, too.
      }
    }
  }
}

const end = (iterator: QueuedIteratorImpl<Status>): void => {
  iterator.push({ type: "close" })
  iterator.push((() => iterator.stop()) as unknown as Status)
}
