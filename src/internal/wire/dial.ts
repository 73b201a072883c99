/**
 * From an address to a session: name lookup, TCP, the server's INFO, TLS, CONNECT, PONG.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ConnectError from "../../ConnectError.ts"
import { isIP } from "../identity/hostNames.ts"
import { connectAndPing, firstPings } from "../protocol/connectLine.ts"
import { unframed } from "../protocol/frames.ts"
import { Greeting, isBinary } from "../protocol/greeting.ts"
import type { ServerInfo } from "../protocol/info.ts"
import { formatServer, isWebSocket, requiresTls } from "../protocol/serverAddress.ts"
import { monotonicMillis } from "../telemetry/monotonic.ts"
import { type AddressDial, type AddressOutcome, AddressRace } from "./addressRace.ts"
import { connectAuth, lacksNonce } from "./connectAuth.ts"
import {
  fromEnd,
  fromServerText,
  fromTcp,
  fromWord,
  notNats,
  type Peer,
  rejected,
  timedOut,
  type TlsState
} from "./connectFailure.ts"
import { type DialTrace, DialTracing } from "./dialTracing.ts"
import { isOtherMachine, sentSecret } from "./inClear.ts"
import { codeOf } from "./secretFilter.ts"
import type { DialOptions, DialProgress, Session } from "./session.ts"
import { tlsOptions } from "./tlsOptions.ts"
import type { Transport, TransportListener } from "./transport.ts"
import { TcpTransport } from "./transportTcp.ts"
import { type NoWebSocket, WebSocketTransport } from "./transportWebSocket.ts"
import { version } from "./version.ts"
import { WireSession } from "./wireSession.ts"

/**
 * Dials once. `owner.opened` has been called once when this succeeds, and can have been called when it is interrupted; in
 * all other cases nothing is left: no socket, no timer.
 *
 * A name is looked up, and its addresses are dialled as `AddressRace` says. It fails at the latest after its timeout,
 * naming the stage that was reached. Interruption is immediate.
 */
export const dial = (options: DialOptions): Effect.Effect<Session, ConnectError.ConnectError> =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const trace = yield* DialTracing
    const { credentials, filter, mostTelling, server, settings, tls } = options
    filter.add({ credentials, tls, headers: settings.webSocket?.headers, server })
    if (server.scheme === "ws" && requires(options)) {
      return yield* new ConnectError.TlsUnavailable({ server: formatServer(server) })
    }
    const timeoutMillis = options.timeoutMillis ?? Duration.toMillis(settings.connectTimeout)
    const began = monotonicMillis(clock)
    const race = new AddressRace({
      server,
      filter,
      timeoutMillis,
      elapsed: () => monotonicMillis(clock) - began,
      dialAddress: (address, waited) => new Dialling(options, trace, address, waited),
      mostTelling,
      trace
    })
    const pokeAt = timeoutMillis * pokeFraction
    const deadline = Effect.sleep(pokeAt).pipe(
      Effect.andThen(Effect.sync(() => race.poke())),
      Effect.andThen(Effect.sleep(timeoutMillis - pokeAt)),
      Effect.andThen(Effect.sync(() => race.expire())),
      Effect.andThen(Effect.never)
    )
    const outcome = Effect.callback<Session, ConnectError.ConnectError>((resume) => {
      race.start(resume)
      return Effect.sync(() => race.abort())
    })
    return yield* isIP(server.host) === 0
      ? Effect.raceAllFirst([outcome, race.lead, deadline])
      : Effect.raceFirst(outcome, deadline)
  })

/** Whether nothing may be sent in clear. */
const requires = ({ requireTls, server, tls }: DialOptions): boolean =>
  requiresTls(server.scheme) || requireTls || tls.mode === "require"

/**
 * When, as a part of `connectTimeout`, a listener that is still silent is spoken to. A NATS server speaks first; an HTTP
 * server answers only then.
 */
const pokeFraction = 0.9

/**
 * Time between INFO and the TLS handshake, in milliseconds. A server with too many connections writes its `-ERR` in clear
 * right after INFO, and a handshake begun at once would read it as TLS.
 */
const settleMillis = 5

/**
 * The same on a second connection, after a server has answered the handshake on the first one in clear: its `-ERR` came
 * later than that, as that of a busy machine may. The TLS library does not give it out, and this one is heard in full.
 */
const patientMillis = 500

/** What the TLS library says of an answer in clear. */
const inClear = "ERR_SSL_WRONG_VERSION_NUMBER"

/** How long a first line that is not a NATS server's may take to become whole, in milliseconds. */
const bannerMillis = 20

const nothing = Buffer.alloc(0)

/** The dial of one address. */
class Dialling implements AddressDial, TransportListener {
  private readonly options: DialOptions
  private readonly trace: DialTrace | undefined
  private readonly address: string
  private readonly waited: () => number
  private readonly hosts: readonly [string, ...Array<string>]
  private readonly peer: Peer
  private readonly tlsRequired: boolean
  private readonly tlsWanted: boolean
  private readonly webSocket: boolean
  private outcome: AddressOutcome | undefined
  private reached: ConnectError.ConnectStage = "tcp"
  private readonly progress: DialProgress | undefined
  private transport: Transport | undefined
  private tcp: TcpTransport | undefined
  private secure = false
  private greeting = new Greeting()
  private info: ServerInfo | undefined
  private infoInsideTls = false
  /** Bytes in clear after an INFO that is to be followed by TLS. */
  private rest: Buffer = nothing
  private session: WireSession | undefined
  private settling: NodeJS.Timeout | undefined
  private settles = settleMillis
  private poked = false
  private over = false

  constructor(options: DialOptions, trace: DialTrace | undefined, address: string, waited: () => number) {
    this.options = options
    this.trace = trace
    this.address = address
    this.waited = waited
    this.progress = options.progress
    const { server, tls } = options
    const isItself = options.hosts.length === 1 && options.hosts[0] === server.host
    this.hosts = tls.serverName === undefined ? options.hosts : [tls.serverName]
    this.peer = {
      server: formatServer(server),
      hosts: tls.serverName === undefined && !isItself ? options.hosts : [],
      method: options.credentials.method,
      filter: options.filter
    }
    this.webSocket = isWebSocket(server.scheme)
    this.tlsRequired = requires(options)
    this.tlsWanted = this.tlsRequired || (tls.mode === "prefer" && !this.webSocket)
  }

  private get stage(): ConnectError.ConnectStage {
    return this.reached
  }

  private set stage(stage: ConnectError.ConnectStage) {
    this.reached = stage
    if (this.progress !== undefined) this.progress.stage = stage
    this.trace?.reached(this.address, stage)
  }

  start(outcome: AddressOutcome): void {
    this.stage = "tcp"
    this.outcome = outcome
    try {
      this.tcp = new TcpTransport(this.address, this.options.server.port, this, () => this.connected())
      this.transport = this.tcp
    } catch (cause) {
      this.fail(fromTcp(this.peer, cause, this.waited()))
    }
  }

  /** Speaks to a listener that has been silent for most of the time. */
  poke(): void {
    if (!this.over && this.stage === "info" && this.greeting.isEmpty && !this.webSocket) {
      this.poked = true
      this.transport?.write(Buffer.from("PING\r\n\r\n"))
    }
  }

  expire(): void {
    if (!this.over) {
      const banner = this.stage === "info" ? this.greeting.banner : undefined
      this.fail(
        banner === undefined
          ? this.session?.suspicion ?? this.timedOut(this.stage)
          : this.notNats(banner)
      )
    }
  }

  abort(): void {
    if (!this.over) {
      this.release()
      this.session?.close()
      this.transport?.destroy()
    }
  }

  data(chunk: Buffer): void {
    if (this.info !== undefined) return this.afterInfo(chunk)
    this.greeting.push(chunk)
    const { banner, line } = this.greeting
    if (banner !== undefined) {
      if (this.greeting.bannerIsWhole) {
        this.fail(this.notNats(banner))
      } else {
        this.settling ??= setTimeout(() => this.fail(this.notNats(this.greeting.banner ?? banner)), bannerMillis)
      }
    } else if (line !== undefined) {
      this.greeted(line)
    }
  }

  drained(): void {}

  ended(error: Error | undefined): void {
    const banner = this.stage === "info" ? this.greeting.banner : undefined
    if (banner !== undefined) return this.fail(this.notNats(banner))
    if (this.poked) {
      // It closed because of what was sent to it. What it did by itself is to keep silent.
      return this.fail(this.timedOut("info", error))
    }
    if (this.stage === "tcp") return this.fail(fromTcp(this.peer, error, this.waited()))
    if (this.isLateWord(error)) return this.listenAgain()
    this.fail(
      this.stage === "tls" || this.secure
        ? fromEnd(this.peer, this.stage, error, this.tlsState())
        : fromEnd(this.peer, this.stage, error, undefined)
    )
  }

  /** Whether a server that has sent INFO in clear has said something more in clear, where TLS had begun meanwhile. */
  private isLateWord(error: Error | undefined): boolean {
    return this.stage === "tls" && this.info !== undefined && this.settles === settleMillis && codeOf(error) === inClear
  }

  private listenAgain(): void {
    const { outcome } = this
    if (this.over || outcome === undefined) return
    this.settles = patientMillis
    this.settling = undefined
    this.greeting = new Greeting()
    this.info = undefined
    this.start(outcome)
  }

  private connected(): void {
    const awaitInfo = (): void => {
      this.stage = "info"
      if (this.webSocket && this.tcp !== undefined) {
        const { server, settings } = this.options
        if (Object.keys(settings.webSocket?.headers ?? {}).length > 0) this.noteSent("the headers of `webSocket`")
        this.transport = new WebSocketTransport(this.tcp, this, {
          address: server,
          headers: settings.webSocket?.headers,
          refused: (answer) => this.fail(this.noWebSocket(answer))
        })
      }
    }
    // A WebSocket has its TLS before all else.
    if ((this.options.tls.handshakeFirst || this.webSocket) && this.tlsWanted) {
      this.upgrade(awaitInfo)
    } else {
      awaitInfo()
    }
  }

  private greeted(line: string): void {
    const info = this.greeting.info
    if (this.poked) {
      // Too late to be told from an answer to the poke.
      return
    }
    if (line.startsWith("-ERR")) return this.fail(this.refusal(line))
    if (info === undefined) return this.fail(this.notNats(""))
    this.info = info
    this.infoInsideTls = this.secure
    this.trace?.greeted(this.address, info)
    const rest = this.greeting.rest
    const offered = info.tls_required === true || info.tls_available === true
    const { server } = this.peer
    if (this.secure || this.webSocket) {
      this.authenticate(info, rest)
    } else if (!this.tlsWanted) {
      if (info.tls_required === true) {
        this.fail(new ConnectError.TlsRequired({ server }))
      } else {
        this.authenticate(info, rest)
      }
    } else if (offered) {
      // And a turn of the event loop more: timers run before it reads what has come in the meantime.
      this.settling = setTimeout(() => setImmediate(() => this.settled(info)), this.settles)
      this.afterInfo(rest)
    } else if (this.tlsRequired) {
      // Before anything is sent in clear: the next line would have the password.
      this.fail(new ConnectError.TlsUnavailable({ server }))
    } else {
      this.authenticate(info, rest)
    }
  }

  /** In clear, after an INFO that announced TLS. */
  private afterInfo(chunk: Buffer): void {
    this.rest = chunk.length === 0 ? this.rest : Buffer.concat([this.rest, chunk])
    const end = this.rest.indexOf("\n")
    if (end >= 0 && this.rest.subarray(0, 4).toString("latin1") === "-ERR") {
      this.fail(this.refusal(this.rest.toString("utf8", 0, end)))
    }
  }

  private settled(info: ServerInfo): void {
    if (this.over) return
    if (this.rest.length > 0) {
      // Never carried over into the encrypted part: whoever wrote them, it was not proven to be the server.
      return this.fail(rejected(this.peer, "sent data in clear between INFO and the TLS handshake"))
    }
    this.upgrade(() => this.authenticate(info, nothing))
  }

  private upgrade(secured: () => void): void {
    this.stage = "tls"
    const made = tlsOptions(this.hosts, this.options.tls)
    if (made instanceof ConnectError.TlsConfigInvalid) return this.fail(made)
    const { address, trace } = this
    try {
      this.tcp?.secure(made, () => {
        this.secure = true
        secured()
      }, trace === undefined ? undefined : (peers) => trace.shookHands(address, peers))
    } catch (cause) {
      const problem = "the TLS library does not take these settings"
      this.fail(new ConnectError.TlsConfigInvalid({ source: "tls", problem, cause: unframed(cause) }))
    }
  }

  private authenticate(info: ServerInfo, rest: Buffer): void {
    const transport = this.transport
    if (transport === undefined) return
    const { credentials, owner, settings } = this.options
    if (lacksNonce(credentials, info.nonce)) {
      return this.fail(this.unusable("it sent no nonce for them to sign, as a server does that knows no NKeys"))
    }
    let connect: Uint8Array
    let pings: number
    try {
      const auth = connectAuth(credentials, info.nonce)
      const facts = { version, tlsRequired: this.tlsRequired, headers: info.headers === true }
      connect = connectAndPing(settings, facts, auth)
      pings = firstPings(auth)
    } catch {
      // The reason is not kept: it could quote the credentials.
      return this.fail(this.unusable("its challenge cannot be signed with them"))
    }
    this.stage = "connect"
    this.noteSent(sentSecret(credentials))
    const session = new WireSession({
      transport,
      peer: this.peer,
      info,
      infoInsideTls: this.infoInsideTls,
      pings,
      tls: this.secure ? () => this.tlsState() : undefined,
      owner,
      settled: (reason) => {
        if (reason !== undefined) {
          this.fail(reason)
        } else if (!this.over) {
          this.release()
          this.session = undefined
          this.outcome?.opened(session)
        }
      }
    })
    this.session = session
    session.start(rest, connect)
  }

  /** `secret` is on its way. */
  private noteSent(secret: string | undefined): void {
    const { address, progress, tcp } = this
    if (secret === undefined || progress === undefined || this.secure) return
    if (!isOtherMachine(address, tcp?.localAddress)) return
    progress.inClear ??= { address, secrets: new Set() }
    progress.inClear.secrets.add(secret)
  }

  private timedOut(stage: ConnectError.ConnectStage, error?: unknown): ConnectError.ConnectError {
    return timedOut(this.peer, stage, this.waited(), error)
  }

  private unusable(problem: string): ConnectError.ConnectError {
    const { method, source } = this.options.credentials
    return new ConnectError.CredentialsInvalid({ method, source, problem, server: this.peer.server })
  }

  private tlsState(): TlsState {
    return {
      verify: this.info?.tls_verify === true,
      certificateFault: this.options.tls.dangerouslyDisableVerification ? undefined : this.tcp?.certificateFault,
      variables: this.options.tls.variables
    }
  }

  private refusal(line: string): ConnectError.ConnectError {
    const text = line.slice(4)
    return fromServerText(this.peer, text) ?? fromWord(this.peer, text)
  }

  private notNats(banner: string): ConnectError.ConnectError {
    if (this.poked && isBinary(banner)) {
      // A TLS alert: the server waits for the handshake.
      return this.timedOut("info")
    }
    return notNats(this.peer, banner)
  }

  private noWebSocket({ firstLine, status }: NoWebSocket): ConnectError.ConnectError {
    const { server } = this.peer
    if (/^INFO[ \t]/i.test(firstLine)) {
      return new ConnectError.WrongPort({ server, text: "it speaks NATS without WebSocket" })
    }
    if (status !== undefined && status !== 101) return new ConnectError.WebSocketRefused({ server, status })
    const problem = status === undefined ? undefined : "without the right Sec-WebSocket-Accept"
    return notNats(this.peer, Buffer.from(firstLine, "latin1").toString("utf8"), problem)
  }

  private fail(error: ConnectError.ConnectError): void {
    if (!this.over) {
      this.release()
      this.session?.close()
      this.transport?.destroy()
      this.outcome?.failed(error, this.session?.offered === true)
    }
  }

  private release(): void {
    this.over = true
    clearTimeout(this.settling)
  }
}
