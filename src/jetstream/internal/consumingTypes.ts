/** What users type to take messages of a consumer, or of a stream in its order. `JetStreamConsumer` has it. */
import type * as Duration from "effect/Duration"

/**
 * @category options
 * @since 0.2.0
 */
export interface MessagesOptions {
  /** Messages that may be with this program and not handled yet, at most. Default 500. */
  readonly window?: number | undefined
  /** Their bytes, at most. A message that is larger comes alone. Default 8 MiB. */
  readonly windowBytes?: number | undefined
  /**
   * How often the server gives a sign of life while there is nothing. Where two do not come it is asked again. From 100
   * milliseconds to an hour, default 5 seconds.
   */
  readonly heartbeat?: Duration.Input | undefined
  /**
   * What happens when the consumer is gone. `"fail"`, the default: the stream fails with `ConsumerDeleted` or
   * `StreamNotFound`. `"wait"`: it goes on when it is there again. `"recreate"`: the consumer is made again as it was, and
   * begins as its definition says, so that messages may come again; a stream that is gone fails.
   */
  readonly onMissing?: "fail" | "wait" | "recreate" | undefined
  /** The priority group of the consumer that this reader belongs to. Needs nats-server 2.11. */
  readonly group?: string | undefined
  /** In a group of the policy "prioritized": 0, the default, is served first, 9 last. Needs nats-server 2.12. */
  readonly priority?: number | undefined
  /** In a group of the policy "overflow": it gets messages only while so many are pending. */
  readonly minPending?: number | undefined
  /** In a group of the policy "overflow": it gets messages only while so many are not acknowledged. */
  readonly minAckPending?: number | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface OrderedOptions {
  readonly stream: string
  /** Patterns of the subjects that are read; several need nats-server 2.10. Default: all. */
  readonly filter?: string | ReadonlyArray<string> | undefined
  /**
   * Where it begins: with the first message, the next one, the last one, the last one of each subject, a sequence, or a time.
   * Default `"all"`.
   */
  readonly from?:
    | "all"
    | "new"
    | "last"
    | "lastPerSubject"
    | { readonly sequence: number }
    | { readonly time: Date }
    | undefined
  /** `true`: without payloads; `Nats-Msg-Size` tells their size. Default `false`. */
  readonly headersOnly?: boolean | undefined
  /** Messages that may be with this program and not handled yet, at most. Default 500. */
  readonly window?: number | undefined
  /** Their bytes, at most. A message that is larger comes alone. Default 8 MiB. */
  readonly windowBytes?: number | undefined
  /** See `messages`. Default 5 seconds. */
  readonly heartbeat?: Duration.Input | undefined
  /** How long the server keeps the consumer behind the read when this program is gone. Default 30 seconds. */
  readonly inactiveThreshold?: Duration.Input | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface NextOptions {
  /** How long to wait for messages that are not there. 0: not at all. Default 5 seconds. */
  readonly maxWait?: Duration.Input | undefined
  /** The priority group of the consumer that this reader belongs to. Needs nats-server 2.11. */
  readonly group?: string | undefined
  /** In a group of the policy "prioritized": 0, the default, is served first, 9 last. Needs nats-server 2.12. */
  readonly priority?: number | undefined
}

/**
 * @category options
 * @since 0.2.0
 */
export interface FetchOptions extends NextOptions {}
