/**
 * Why a test server does not run.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import { allShowingFields } from "../internal/protocol/shown.ts"

const TaggedError = allShowingFields(Schema.TaggedError)

/**
 * There is no `nats-server` to start: `NATS_SERVER` names no program, and none is in the project's or the user's cache or
 * on `PATH`.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsServerNotFound extends TaggedError<NatsServerNotFound>()("NatsServerNotFound", {
  /** The files that were looked for, in order. */
  tried: Schema.Array(Schema.String)
}) {
  override get message(): string {
    return [
      "No nats-server was found. Run `npx effect-nats server`, which fetches one, or install nats-server so that it is on",
      "PATH, or set NATS_SERVER to its path.",
      `Looked for: ${this.tried.join(", ")}.`
    ].join(" ")
  }
  /** `false`: somebody has to install one. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server refused its configuration, at the start or at a reload. After a refused reload the server runs on with the
 * configuration it had.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsServerConfigRejected extends TaggedError<NatsServerConfigRejected>()("NatsServerConfigRejected", {
  /** What the server said. Secrets of the typed options are replaced. */
  problem: Schema.String
}) {
  override get message(): string {
    return `nats-server refused its configuration: ${this.problem}`
  }
  /** `false`: the same configuration is refused again. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server does not know an option that was asked for.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsServerTooOld extends TaggedError<NatsServerTooOld>()("NatsServerTooOld", {
  /** The option, as the server's configuration calls it. */
  feature: Schema.String,
  /** The first version that has it. */
  needs: Schema.String,
  /** The version that was started. */
  version: Schema.String
}) {
  override get message(): string {
    return `nats-server ${this.version} does not know ${this.feature}: use ${this.needs} or newer, by NATS_SERVER or the \`binary\` option.`
  }
  /** `false`: it takes another version. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server ended, or is not running, where it is needed: while starting, while a log line was awaited, or at a control
 * that needs a running server.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsServerExited extends TaggedError<NatsServerExited>()("NatsServerExited", {
  /** What was going on. */
  during: Schema.String,
  /** The exit code, or the signal that ended it. Absent when the program could not be run at all. */
  status: Schema.optionalKey(Schema.Union([Schema.Finite, Schema.String])),
  /** Its last log lines. Secrets of the typed options are replaced. */
  lastLines: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const status = this.status === undefined ? "" : ` (${this.status})`
    const lines = this.lastLines.length === 0 ? "" : `\n${this.lastLines.join("\n")}`
    return `nats-server is not running${status}, during: ${this.during}.${lines}`
  }
  /** `false`: what ended it, which its last lines tell, ends it again. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * The server did not do something in time: becoming ready, reloading, answering its monitoring port.
 *
 * @category errors
 * @since 0.1.0
 */
export class NatsServerTimedOut extends TaggedError<NatsServerTimedOut>()("NatsServerTimedOut", {
  /** What was going on. */
  during: Schema.String,
  /** The time that was allowed, in milliseconds. */
  timeoutMillis: Schema.Finite,
  /** Its last log lines. Secrets of the typed options are replaced. */
  lastLines: Schema.Array(Schema.String)
}) {
  override get message(): string {
    const lines = this.lastLines.length === 0 ? "" : `\n${this.lastLines.join("\n")}`
    return `nats-server took longer than ${this.timeoutMillis} ms, during: ${this.during}. Raise \`startTimeout\` on a slow machine.${lines}`
  }
  /** `true`: a machine that is busy now may be fast enough later. */
  get isRetryable(): boolean {
    return true
  }
}

/**
 * A package is not installed that this part of the test kit needs and the rest does not: `@nats-io/jwt` for nkeys, JWTs and
 * auth callouts, `node-forge` for certificates, `bcryptjs` for servers that are given hashes.
 *
 * @category errors
 * @since 0.2.0
 */
export class PackageMissing extends TaggedError<PackageMissing>()("PackageMissing", {
  /** The package's name. */
  package: Schema.String
}) {
  override get message(): string {
    return `This needs the package ${this.package}, which is not installed: run \`npm install --save-dev ${this.package}\`.`
  }
  /** `false`: somebody has to install it. */
  get isRetryable(): boolean {
    return false
  }
}

/**
 * What starting and controlling a test server can fail with.
 *
 * @category errors
 * @since 0.1.0
 */
export type TestNatsServerError =
  | NatsServerNotFound
  | NatsServerConfigRejected
  | NatsServerTooOld
  | NatsServerExited
  | NatsServerTimedOut
  | PackageMissing
