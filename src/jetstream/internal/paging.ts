/** Lists, which servers give in pages. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type ApiError, InvalidAnswer, JetStreamUnavailable } from "../JetStreamError.ts"
import type { Api, CallOptions } from "./api.ts"
import type { Wire, WireObject } from "./exactJson.ts"
import { numberOf } from "./infos.ts"

interface Page {
  readonly offset: number
  /** How often it may still go back. */
  readonly back: number
}

/** So often a list is read again from further in front. */
const mostBack = 64

/** So far it goes back where a page has nothing to measure by. */
const leastBack = 64

/**
 * Every element once, page by page. Elements move to other pages where some are created or deleted meanwhile: each page but
 * the first begins with the last element of the one before. Where it does not, some went, those behind them moved into pages
 * that were read already, and it goes back; but not for ever.
 */
export const pages = <A, E>(
  api: Api,
  name: string,
  options: {
    readonly body?: WireObject | undefined
    /** The field that has the elements. */
    readonly of: "streams" | "consumers"
    readonly key: (element: Wire) => string
    readonly read: (element: Wire) => A
    readonly errors?: CallOptions<E>["errors"]
  }
): Stream.Stream<A, ApiError | E> =>
  Stream.suspend(() => {
    const seen = new Set<string>()
    const first: Page = { offset: 0, back: mostBack }
    return Stream.paginate(first, (page: Page) =>
      api.call(name, { ...options.body, offset: page.offset }, { errors: options.errors }).pipe(
        Effect.flatMap((answer): Effect.Effect<readonly [ReadonlyArray<A>, Option.Option<Page>], ApiError> => {
          const { missing, total } = answer as WireObject
          const elements = (answer as WireObject)[options.of] ?? []
          if (!Array.isArray(elements)) {
            return Effect.fail(new InvalidAnswer({ request: name, problem: `it has no ${options.of}` }))
          }
          // Servers of a cluster that did not answer for theirs: it is no list of all.
          if (Array.isArray(missing) && missing.length > 0) {
            const description = api.shown(`no answer for ${missing.join(", ")}`)
            return Effect.fail(new JetStreamUnavailable({ errCode: incomplete, description }))
          }
          const [head] = elements
          const joins = page.offset === 0 || (head !== undefined && seen.has(options.key(head)))
          const found = elements.filter((element) =>
            !seen.has(options.key(element))
          )
          for (const element of found) seen.add(options.key(element))
          return Effect.succeed([found.map(options.read), following(page, elements.length, numberOf(total), joins)])
        })
      ))
  })

/** Incomplete results. */
const incomplete = 10004

const following = ({ back, offset }: Page, length: number, total: number, joins: boolean): Option.Option<Page> => {
  if (!joins && back > 0) {
    return Option.some({ offset: Math.max(0, offset - Math.max(length, leastBack)), back: back - 1 })
  }
  const end = offset + length
  // A page of one element would be asked for again and again.
  return length === 0 || end >= total ? Option.none() : Option.some({ offset: length > 1 ? end - 1 : end, back })
}
