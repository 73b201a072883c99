/** What functions of the public modules do: they ask the JetStream of the context. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { JetStream } from "../JetStream.ts"
import { type Api, apiOf } from "./api.ts"

export const withApi = <A, E, R>(use: (api: Api) => Effect.Effect<A, E, R>): Effect.Effect<A, E, R | JetStream> =>
  Effect.flatMap(JetStream, (js) => use(apiOf(js)))

export const withApiStream = <A, E, R>(
  use: (api: Api) => Stream.Stream<A, E, R>
): Stream.Stream<A, E, R | JetStream> => Stream.unwrap(Effect.map(JetStream, (js) => use(apiOf(js))))
