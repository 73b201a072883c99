/** Workers of a queue as processes that are killed and stopped, and what they did. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import * as path from "node:path"
import { createInterface } from "node:readline"
import type { WorkerEvent, WorkerOptions } from "./queueWorker.ts"

const program = path.join(import.meta.dirname, "queueWorker.ts")

export class QueueWorker {
  readonly events: Array<WorkerEvent> = []
  /** When it was killed, in microseconds of the clock that all processes share. */
  killedAt: number | undefined
  private readonly child: ChildProcess
  private readonly exited: Promise<unknown>
  private waiting: Array<() => void> = []

  constructor(url: string, options: WorkerOptions) {
    this.child = spawn(process.execPath, [program, url, JSON.stringify(options)], {
      stdio: ["pipe", "pipe", "inherit"]
    })
    this.exited = once(this.child, "exit")
    createInterface({ input: this.child.stdout! }).on("line", (line) => {
      this.events.push(JSON.parse(line) as WorkerEvent)
      this.wake()
    })
    this.child.on("exit", () => this.wake())
  }

  get hasEnded(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null
  }

  /** Waits for an event. */
  until(is: (event: WorkerEvent) => boolean): Effect.Effect<WorkerEvent> {
    return Effect.callback((resume) => {
      const look = (): void => {
        const found = this.events.find(is)
        if (found !== undefined) resume(Effect.succeed(found))
        else if (this.hasEnded) resume(Effect.die(new Error("the worker has ended")))
        else this.waiting.push(look)
      }
      look()
    })
  }

  signal(signal: "SIGSTOP" | "SIGCONT"): void {
    this.child.kill(signal)
  }

  readonly kill: Effect.Effect<void> = Effect.promise(async () => {
    this.killedAt ??= Number(process.hrtime.bigint() / 1_000n)
    this.child.kill("SIGKILL")
    await this.exited
  })

  /** It ends by itself. */
  readonly ended: Effect.Effect<void> = Effect.promise(async () => {
    await this.exited
  })

  private wake(): void {
    const { waiting } = this
    this.waiting = []
    for (const look of waiting) look()
  }
}

/** Until the scope closes. Gives it when it takes. */
export const startWorker = (url: string, options: WorkerOptions): Effect.Effect<QueueWorker, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => new QueueWorker(url, options)),
    (worker) => worker.kill
  ).pipe(Effect.tap((worker) => worker.until(({ type }) => type === "ready")))

/** What all workers together did with an element. */
export interface History {
  /** Handlers that began. */
  readonly starts: number
  /** Elements that two had at a time. */
  readonly overlaps: ReadonlyArray<string>
  readonly mostAttempts: number
  readonly ended: ReadonlySet<string>
  readonly logs: ReadonlyArray<string>
}

/** Puts together what the workers told. Who was killed had its elements until then. */
export const historyOf = (workers: ReadonlyArray<QueueWorker>): History => {
  const spans = new Map<string, Array<{ readonly from: number; to: number }>>()
  const ended = new Set<string>()
  const logs: Array<string> = []
  let [starts, mostAttempts] = [0, 0]
  for (const { events, killedAt } of workers) {
    const open = new Map<string, { readonly from: number; to: number }>()
    for (const event of events) {
      switch (event.type) {
        case "start": {
          const span = { from: event.at, to: killedAt ?? Infinity }
          open.set(event.id, span)
          spans.set(event.id, [...(spans.get(event.id) ?? []), span])
          starts++
          mostAttempts = Math.max(mostAttempts, event.attempts)
          break
        }
        case "end":
          ended.add(event.id)
          open.get(event.id)!.to = event.at
          break
        case "log":
          logs.push(event.message)
      }
    }
  }
  const overlaps = [...spans].filter(([, found]) =>
    found.toSorted((a, b) => a.from - b.from).some(({ from }, i, all) => i > 0 && from < all[i - 1].to)
  ).map(([id]) => id)
  return { starts, overlaps, mostAttempts, ended, logs }
}
