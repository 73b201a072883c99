/**
 * Whether several servers have a stream, of which one may be behind. Whoever operates it can change that while it is used, so
 * that it is looked at again and again: reads that were answered by any server have to ask the leader from then on.
 */
import * as Effect from "effect/Effect"
import { sleep } from "../../internal/operations/sending.ts"
import { apiOf } from "../../jetstream/internal/api.ts"
import { JetStream } from "../../jetstream/JetStream.ts"
import * as JetStreamStream from "../../jetstream/JetStreamStream.ts"

/** How often it is looked at, in milliseconds. */
const every = 60_000

export class Replicas {
  private count = 1
  private readonly js: JetStream
  private readonly stream: string

  constructor(js: JetStream, stream: string) {
    this.js = js
    this.stream = stream
  }

  get isReplicated(): boolean {
    return this.count > 1
  }

  note({ replicas }: { readonly replicas: number }): void {
    this.count = replicas
  }

  /** For as long as it is used. By the clock of the client. */
  keeping(everyMillis: number = every): Effect.Effect<never> {
    const look = JetStreamStream.info(this.stream).pipe(
      Effect.map(({ config }) => this.note(config)),
      Effect.provideService(JetStream, this.js),
      // What is wrong is told to whoever reads.
      Effect.ignore
    )
    return Effect.forever(Effect.andThen(sleep(apiOf(this.js).connection, everyMillis), look))
  }
}
