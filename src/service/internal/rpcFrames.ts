/**
 * Frames of an `RpcSerialization` as payloads: one message holds whole frames.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Parser from "effect/rpc/RpcSerialization"
import * as Stream from "effect/Stream"
import { describeThrown } from "../../internal/payload/decodeProblem.ts"
import { TracingEnabled } from "../../internal/telemetry/switches.ts"
import { isTraced } from "../../internal/telemetry/tracing.ts"
import type { NatsMessage } from "../../NatsMessage.ts"

export class MalformedFrame extends Error {
  override readonly name = "MalformedFrame"
}

/** What was decoded, or why not. */
export type Decoded<A> = { readonly frames: ReadonlyArray<A> } | { readonly problem: unknown }

const isFrame = (frame: unknown): boolean =>
  typeof frame === "object" && frame !== null && typeof (frame as { readonly _tag?: unknown })._tag === "string"

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
      if (frames.length > 0 && frames.every(isFrame)) return { frames }
      problem = new MalformedFrame(frames.length > 0 ? "This is no frame." : "The message ends within a frame.")
    } catch (thrown) {
      // The parser's own message quotes the frame.
      problem = new MalformedFrame(
        `The message cannot be read: ${
          thrown instanceof SyntaxError ? "it is no JSON" : describeThrown(thrown).problem
        }.`
      )
    }
    this.parser = this.serialization.makeUnsafe()
    return { problem }
  }

  /** Throws, in words that can be shown to who waits for the message, where it cannot be written. */
  encode(message: unknown): string | Uint8Array | undefined {
    try {
      return this.parser.encode(message)
    } catch (thrown) {
      throw new MalformedFrame(`The message cannot be written: ${describeThrown(thrown).problem}.`)
    }
  }
}

/** The calls have spans of their own, and their messages carry them. */
export const withoutSpans = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => isTraced(fiber) ? Effect.provideService(effect, TracingEnabled, false) : effect)

/** Handles messages one after the other. What one of them brings about, whatever it holds, does not stop the next. */
export const handleEach = <E>(
  messages: Stream.Stream<NatsMessage, E>,
  handle: (message: NatsMessage) => Effect.Effect<void>
): Effect.Effect<void, E> =>
  Stream.runForEachArray(messages, (batch) => {
    let i = 0
    return Effect.whileLoop({
      while: () => i < batch.length,
      body: () => {
        try {
          return survive(handle(batch[i++]))
        } catch (defect) {
          return survive(Effect.die(defect))
        }
      },
      step: () => {}
    })
  })

/** RpcServer answers what it does not take (a client that has ended, its own shutdown) with an interruption. */
export const survive = (effect: Effect.Effect<void>): Effect.Effect<void> =>
  Exit.isExit(effect) && Exit.isSuccess(effect)
    ? effect
    : Effect.catchCause(
      effect,
      (cause) =>
        Cause.hasInterruptsOnly(cause) ? Effect.void : Effect.logError("NatsRpc: a message was not handled", cause)
    )
