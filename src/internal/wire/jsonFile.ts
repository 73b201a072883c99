/**
 * Reads a JSON file, and tells what is wrong with one.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { findJsonFault } from "../config/json.ts"
import { notJson } from "../config/notJson.ts"
import { readFile } from "./secretFile.ts"

export interface JsonFile {
  readonly value: unknown
  /** Permissions and type, as `stat` gives them. */
  readonly mode: number
}

/** A regular file of at most 1 MiB, with or without a byte order mark. Fails with what is wrong, without content. */
export const readJsonFile = (
  path: string,
  options: { readonly option: string; readonly timeout: Duration.Duration }
): Effect.Effect<JsonFile, string> =>
  readFile(path, options).pipe(
    Effect.mapError(({ problem }) => `cannot be read: ${problem}`),
    Effect.flatMap(({ mode, text }) => {
      const plain = text.replace(/^\uFEFF/, "")
      const fault = findJsonFault(plain)
      return fault === undefined
        ? Effect.succeed({ value: JSON.parse(plain), mode })
        : Effect.fail(notJson(plain, fault))
    })
  )
