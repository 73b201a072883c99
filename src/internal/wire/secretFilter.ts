/**
 * The secrets of a client, kept out of what it shows of the words of others: a server can repeat in an `-ERR` what it was
 * sent, an echo port or a proxy in its first line, and whoever names servers in INFO in a name.
 */
import * as Equal from "effect/Equal"
import * as Redacted from "effect/Redacted"
import { unframed } from "../protocol/frames.ts"
import { printable } from "../protocol/printable.ts"
import { mayBeEscaped, secretFinder } from "../protocol/secretFinder.ts"
import type { ServerAddress } from "../protocol/serverAddress.ts"
import type { Credentials } from "./credentials.ts"
import type { TlsMaterial } from "./tlsMaterial.ts"

/** Stands in place of a text that repeats a secret. */
export const withheld = "withheld: it repeats a secret"

/** So many secrets are kept, the latest: those of earlier dials may come back, too. */
const mostSecrets = 128

/** And so many characters of them, or the latest one. */
const mostCharacters = 65_536

/** Of a text so many characters are looked at, and nobody shows more of it: who sends many must not keep a client busy. */
const mostLookedAt = 1280

/**
 * Of texts with escapes so many characters are looked at in one turn. A look at one takes more than a millisecond for each
 * thousand, and a server can send thousands: what is not looked at is not shown.
 */
const mostEscapedInTurn = 8192

/** Of what an error of the runtime has, such as its stack. */
const longestInCause = 4096

/** Of the message of an error that the runtime made of another's words. */
const longestMessage = 512

/** A shorter part of a URL's query is no access token. */
const shortestInQuery = 8

const inspect = Symbol.for("nodejs.util.inspect.custom")

/** What is sent in a dial, or proves something in it, and is not to be seen. */
export interface DialSecrets {
  readonly credentials: Credentials
  readonly tls: TlsMaterial
  readonly headers: Readonly<Record<string, Redacted.Redacted>> | undefined
  readonly server: ServerAddress
}

/** What may be an access token in the query of a WebSocket URL. */
export const secretsInQuery = ({ path }: ServerAddress): ReadonlyArray<Redacted.Redacted> => {
  const start = path.indexOf("?")
  if (start < 0) return []
  return path.slice(start + 1).split(/[&=]/).filter((part) => part.length >= shortestInQuery)
    .map((part) => Redacted.make(part))
}

const secretsOf = ({ credentials, headers = {}, server, tls }: DialSecrets): ReadonlyArray<Redacted.Redacted> => {
  const { jwt, password, seed, token } = credentials
  return [
    password,
    token,
    jwt,
    seed,
    tls.key,
    tls.passphrase,
    ...Object.values(headers),
    ...secretsInQuery(server)
  ].filter((each) => each !== undefined)
}

/** One for each client. Whatever came from the other side goes through it before it stands in an error, an event or a log. */
export class SecretFilter {
  private secrets: ReadonlyArray<Redacted.Redacted> = []
  /** Made when the first text comes, which is rare. */
  private find: ((text: string) => boolean) | undefined

  /** Characters of texts with escapes that were looked at in this turn. */
  private escapedInTurn = 0

  /** To be called before anything is sent. */
  add(dial: DialSecrets): void {
    const latest = secretsOf(dial)
    const isNew = (secret: Redacted.Redacted): boolean => !this.secrets.some((each) => Equal.equals(each, secret))
    if (latest.some(isNew)) this.find = undefined
    const others = this.secrets.filter((secret) => !latest.some((each) => Equal.equals(each, secret)))
    let characters = 0
    this.secrets = [...latest, ...others].slice(0, mostSecrets).filter((secret, index) => {
      characters += Redacted.value(secret).length
      return index < latest.length || characters <= mostCharacters
    })
  }

  /** Whether a text has too much of a secret in it. */
  repeats(text: string, most = mostLookedAt): boolean {
    if (this.secrets.length === 0) return false
    this.find ??= secretFinder(this.secrets.map((secret) => Redacted.value(secret)))
    return this.find(text.slice(0, most))
  }

  /** Whether it is of a flood, and not looked at. */
  private isTooMuch(raw: string): boolean {
    if (this.secrets.length === 0) return false
    const text = raw.slice(0, mostLookedAt)
    if (!mayBeEscaped(text)) return false
    if (this.escapedInTurn === 0) queueMicrotask(this.turned)
    this.escapedInTurn += text.length
    return this.escapedInTurn > mostEscapedInTurn
  }

  private readonly turned = (): void => {
    this.escapedInTurn = 0
  }

  /** A text of another as it may be shown: as `show` has it, or not at all. */
  shown(raw: string, show: (raw: string) => string): string {
    if (this.isTooMuch(raw) || this.repeats(raw)) return withheld
    const text = show(raw)
    // What shows it can leave out what was in front, and make an escape that stands in a secret.
    return text !== raw && this.repeats(text) ? withheld : text
  }

  /** The same values, without the texts in them that repeat a secret. */
  fields<A extends object>(values: A): A {
    const field = (value: unknown): unknown =>
      typeof value === "string"
        ? this.repeats(value, value.length) ? withheld : value
        : Array.isArray(value)
        ? value.map(field)
        : value
    return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, field(value)])) as A
  }

  /**
   * The field `cause` of an error. What the runtime made of words from the wire, as of the names in a certificate, is kept as
   * `Redacted` in an error that has its code, and its message as it may be shown.
   */
  cause(error: unknown): { readonly cause?: unknown } {
    if (error === undefined) return {}
    try {
      if (this.isFit(unframed(error), 2)) return { cause: error }
    } catch {
      // A getter of it throws, and would for whoever inspects it.
    }
    return { cause: this.fitError(error) }
  }

  private fitError(error: unknown): Error {
    const message = error instanceof Error && typeof error.message === "string"
      ? this.shown(error.message, (raw) => printable(raw, longestMessage))
      : `a value of type ${typeof error}`
    const code = codeOf(error)
    const fit = unframed(new Error(message, { cause: Redacted.make(error, { label: "original" }) }))
    return code === undefined || this.repeats(code) ? fit : Object.assign(fit, { code })
  }

  /** Whether nothing that any inspection finds in it is too long, moves a cursor or repeats a secret. */
  private isFit(value: unknown, depth: number): boolean {
    if (typeof value === "string") return this.isClean(value)
    if (typeof value === "function" || typeof value === "symbol") return false
    if (typeof value !== "object" || value === null) return true
    const keys = Reflect.ownKeys(value)
    if (depth === 0 || keys.length > 16) return false
    return keys.every((key) => {
      const property: unknown = Reflect.get(value, key)
      return key === "stack" && typeof property === "string"
        ? this.isClean(property.replaceAll("\n", " "))
        : typeof key === "string" && this.isClean(key) && this.isFit(property, depth - 1)
    })
  }

  private isClean(text: string): boolean {
    // OpenSSL ends its messages with the line.
    const line = text.trimEnd()
    return printable(line, longestInCause) === line && !this.repeats(line, longestInCause)
  }

  /** It holds secrets: no inspection goes into it. */
  toJSON(): unknown {
    return { _id: "SecretFilter" }
  }

  [inspect](): unknown {
    return this.toJSON()
  }
}

/** The code of an error of the runtime or the operating system. */
export const codeOf = (error: unknown): string | undefined => {
  const code: unknown = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof code === "string" && /^[\w/]{1,64}$/.test(code) ? code : undefined
}
