/**
 * Frames of an `RpcSerialization` as payloads: one message holds whole frames.
 */
import * as Effect from "effect/Effect"
import type * as Parser from "effect/rpc/RpcSerialization"
import { TracingEnabled } from "../../internal/telemetry/switches.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import type { NatsMessage } from "../../NatsMessage.ts"

export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame"
}

/** What was decoded, or why not. */
export type Decoded<A> = { readonly frames: ReadonlyArray<A> } | { readonly problem: unknown }

/** The frames of one sender. Each sender has its own: a broken frame spoils the parser that read it. */
export class Frames {
  private readonly serialization: Parser.RpcSerialization["Service"]
  private readonly isText: boolean
  private parser: Parser.Parser

  constructor(serialization: Parser.RpcSerialization["Service"]) {
    this.serialization = serialization
    this.isText = serialization.contentType.includes("json")
    this.parser = serialization.makeUnsafe()
  }

  decode<A>(message: NatsMessage): Decoded<A> {
    let problem: unknown
    try {
      const frames = this.parser.decode(this.isText ? message.text : message.data) as ReadonlyArray<A>
      if (frames.length > 0) return { frames }
      problem = new MalformedFrame("The message ends within a frame.")
    } catch (cause) {
      problem = cause
    }
    this.parser = this.serialization.makeUnsafe()
    return { problem }
  }

  encode(message: unknown): string | Uint8Array | undefined {
    return this.parser.encode(message)
  }
}

/** The calls have spans of their own, and their messages carry them. */
export const withoutSpans = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => isTraced(fiber) ? Effect.provideService(effect, TracingEnabled, false) : effect)
