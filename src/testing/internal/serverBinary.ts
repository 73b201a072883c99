/**
 * Finds the nats-server program.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as process from "node:process"
import { NatsServerNotFound } from "../TestNatsServerError.ts"

const isProgram = (file: string): boolean => {
  try {
    fs.accessSync(file, fs.constants.X_OK)
    return fs.statSync(file).isFile()
  } catch {
    return false
  }
}

const numbers = (version: string): ReadonlyArray<number> => version.split(/[.-]/).map((part) => Number(part) || 0)

const newestFirst = (a: string, b: string): number => {
  const left = numbers(a)
  const right = numbers(b)
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (right[i] ?? 0) - (left[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** `.cache/nats-server/<version>/nats-server` of the working directory or the nearest directory above it that has one. */
const cached = (tried: Array<string>): string | undefined => {
  let directory = process.cwd()
  while (true) {
    const cache = path.join(directory, ".cache", "nats-server")
    if (fs.existsSync(cache)) {
      for (const version of fs.readdirSync(cache).toSorted(newestFirst)) {
        const file = path.join(cache, version, "nats-server")
        if (isProgram(file)) return file
      }
      tried.push(path.join(cache, "<version>", "nats-server"))
      return undefined
    }
    const parent = path.dirname(directory)
    if (parent === directory) {
      tried.push(path.join(process.cwd(), ".cache", "nats-server", "<version>", "nats-server"))
      return undefined
    }
    directory = parent
  }
}

const onPath = (tried: Array<string>): string | undefined => {
  for (const directory of (process.env["PATH"] ?? "").split(path.delimiter)) {
    if (directory !== "") {
      const file = path.join(directory, "nats-server")
      if (isProgram(file)) return file
    }
  }
  tried.push("nats-server on PATH")
  return undefined
}

/** `named`, else `NATS_SERVER`, else the newest in the project's cache, else the one on `PATH`. */
export const findBinary = (named: string | undefined): Effect.Effect<string, NatsServerNotFound> =>
  Effect.suspend(() => {
    const given = named ?? process.env["NATS_SERVER"]
    if (given !== undefined && given !== "") {
      const label = named === undefined ? "NATS_SERVER" : "binary"
      return isProgram(given)
        ? Effect.succeed(path.resolve(given))
        : Effect.fail(new NatsServerNotFound({ tried: [`${given} (from ${label})`] }))
    }
    const tried: Array<string> = []
    const found = cached(tried) ?? onPath(tried)
    return found === undefined ? Effect.fail(new NatsServerNotFound({ tried })) : Effect.succeed(found)
  })
