/**
 * What is told of the keys of a bucket: values, deletions, and what a watch gives. Published by `KeyValue`.
 */

/**
 * A value of a key.
 *
 * @category models
 * @since 0.2.0
 */
export interface Entry<out A> {
  readonly _tag: "Entry"
  readonly key: string
  /** Its sequence in the bucket's stream: the one to `update` it with. It only grows, over all keys. */
  readonly revision: number
  readonly value: A
  /** When the server stored it. */
  readonly timestampMillis: number
}

/**
 * A key has no value any more.
 *
 * @category models
 * @since 0.2.0
 */
export interface Deletion {
  readonly _tag: "Deletion"
  readonly key: string
  readonly revision: number
  /**
   * `"delete"`: its value was deleted, and its history is kept. `"purge"`: the history, too. `"expired"`: its time was
   * over; only told by buckets with `deleteMarkers`.
   */
  readonly reason: "delete" | "purge" | "expired"
  readonly timestampMillis: number
}

/**
 * The marker in a watch: all that was there when it began has been told.
 *
 * @category models
 * @since 0.2.0
 */
export interface InitialDone {
  readonly _tag: "InitialDone"
}

/**
 * What happened to a key.
 *
 * @category models
 * @since 0.2.0
 */
export type Change<A> = Entry<A> | Deletion

/**
 * An element of a watch.
 *
 * @category models
 * @since 0.2.0
 */
export type WatchEvent<A> = Change<A> | InitialDone
