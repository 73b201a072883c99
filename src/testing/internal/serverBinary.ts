/**
 * Finds the nats-server program.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as os from "node:os"
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

/** Where `effect-nats server` keeps what it fetches: the same rule as there, as no room is imported here. */
export const userCacheDirectory = (machine: {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly platform: string
  readonly home: string
}): string => {
  const { env, home, platform } = machine
  const { isAbsolute, join } = platform === "win32" ? path.win32 : path.posix
  const absolute = (name: string): string | undefined => isAbsolute(env[name] ?? "") ? env[name] : undefined
  const base = absolute("XDG_CACHE_HOME") ?? (
    platform === "win32"
      ? absolute("LOCALAPPDATA") ?? join(home, "AppData", "Local")
      : platform === "darwin"
      ? join(home, "Library", "Caches")
      : join(home, ".cache")
  )
  return join(base, "effect-nats", "nats-server")
}

/** A user without an entry in the system's list has no home directory. */
const homeDirectory = (): string => {
  try {
    return os.homedir()
  } catch {
    return "/nonexistent"
  }
}

const newestIn = (cache: string, tried: Array<string>): string | undefined => {
  for (const version of (fs.existsSync(cache) ? fs.readdirSync(cache) : []).toSorted(newestFirst)) {
    const file = path.join(cache, version, "nats-server")
    if (/^\d/.test(version) && isProgram(file)) return file
  }
  tried.push(path.join(cache, "<version>", "nats-server"))
  return undefined
}

/** `.cache/nats-server` of the working directory or the nearest directory above it that has one. */
const projectCache = (directory: string): string | undefined => {
  const cache = path.join(directory, ".cache", "nats-server")
  if (fs.existsSync(cache)) return cache
  const parent = path.dirname(directory)
  return parent === directory ? undefined : projectCache(parent)
}

const cached = (tried: Array<string>): string | undefined => {
  const own = path.join(process.cwd(), ".cache", "nats-server")
  return newestIn(projectCache(process.cwd()) ?? own, tried) ??
    newestIn(userCacheDirectory({ env: process.env, platform: process.platform, home: homeDirectory() }), tried)
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

/** `named`, else `NATS_SERVER`, else the newest in the project's cache, else in the user's, else the one on `PATH`. */
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
