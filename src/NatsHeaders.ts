/**
 * The headers of a message: a plain record from name to values.
 *
 * NATS keeps names as they were written, and a name can have several values. Reading by name (`get`) looks for the exact
 * name first and ignores case only if there is none.
 *
 * @since 0.1.0
 */
import { getHeader } from "./internal/protocol/headers.ts"

/**
 * Headers as they are received: every name with all its values.
 *
 * @category models
 * @since 0.1.0
 */
export type NatsHeaders = Readonly<Record<string, ReadonlyArray<string>>>

/**
 * Headers as they are given to `publish` and `request`: a value, or several.
 *
 * @category models
 * @since 0.1.0
 */
export type Input = Readonly<Record<string, string | ReadonlyArray<string>>>

/**
 * The first value of a header, `undefined` when there is none.
 *
 * @category getters
 * @since 0.1.0
 */
export const get = (headers: NatsHeaders, name: string): string | undefined => getHeader(headers, name)
