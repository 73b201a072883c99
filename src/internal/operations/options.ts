/**
 * Decodes options that are written in code.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { AuthSource, NatsAuth } from "../../NatsAuth.ts"
import type { Options } from "../../NatsClient.ts"
import { NatsConfigError } from "../../NatsConfig.ts"
import { decodeAuth } from "../config/auth.ts"
import { decodePlain } from "../config/codec.ts"
import { decodeWith } from "../config/config.ts"
import { type Path, type Problems, shown } from "../config/problems.ts"
import type { ClientConfig } from "../config/settings.ts"

/** An Effect is not run here. */
const readAuth = <R>(problems: Problems, path: Path, input: unknown): NatsAuth | AuthSource<R> | undefined =>
  Effect.isEffect(input) ? input as AuthSource<R> : decodeAuth(problems, path, input)

const decoder = <R>(problems: Problems, path: Path, input: unknown): ClientConfig<R> | undefined =>
  decodeWith<NatsAuth | AuthSource<R>>(problems, path, input, readAuth)

export const decodeOptions = <R = never>(options: Options<R>): Effect.Effect<ClientConfig<R>, NatsConfigError> =>
  Effect.suspend(() =>
    Effect.fromResult(Result.mapError(
      decodePlain(options, decoder<R>),
      (problems) => new NatsConfigError({ source: "options", problems: shown(problems) })
    ))
  )
