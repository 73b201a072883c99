/**
 * The other side of a measured client, as cheap as it can be made in Node, and the same for both clients.
 *
 *   node bench/load.ts serve            speaks the server side of the protocol itself and tells its port
 *   node bench/load.ts client <port>    is another client of a real server
 *
 * Either way: a message to `flood` with `<size> <count>` makes it send `count` messages of `size` bytes to `data` (a size of
 * `order`: the payload of a service's request), a message to `echo` is answered with its payload, what goes to `sink` is
 * read and dropped, and a message to `calls` makes it call a service, see `Calls`, and tell how long each call took.
 */
import * as Net from "node:net"
import { type Calls, order } from "./quotes.ts"

const LF = 0x0a
const floodBuffer = 1024 * 1024

interface Incoming {
  readonly subject: string
  readonly reply: string | undefined
  readonly payload: Buffer
}

interface Peer {
  /** Any line but a message. */
  readonly line: (text: string) => void
  readonly message: (message: Incoming) => void
  /** A chunk has been read. */
  readonly turn: () => void
}

/** Reads the publishes of a client, or the messages of a server. */
const read = (socket: Net.Socket, peer: Peer): void => {
  let rest: Buffer = Buffer.alloc(0)
  socket.on("data", (data: Buffer) => {
    const chunk = rest.length === 0 ? data : Buffer.concat([rest, data])
    let at = 0
    while (at < chunk.length) {
      const newline = chunk.indexOf(LF, at)
      if (newline < 0) break
      const line = chunk.toString("latin1", at, newline - 1)
      const isPub = line.startsWith("PUB ") || line.startsWith("HPUB ")
      if (!isPub && !line.startsWith("MSG ") && !line.startsWith("HMSG ")) {
        at = newline + 1
        peer.line(line)
        continue
      }
      const hasHeaders = line.startsWith("H")
      const words = line.split(" ")
      const end = newline + 1 + Number(words[words.length - 1])
      if (end + 2 > chunk.length) break
      at = end + 2
      if (words[1] === "sink") continue
      const least = (isPub ? 3 : 4) + (hasHeaders ? 1 : 0)
      const reply = words.length > least ? words[isPub ? 2 : 3] : undefined
      const start = newline + 1 + (hasHeaders ? Number(words[words.length - 2]) : 0)
      peer.message({ subject: words[1], reply, payload: chunk.subarray(start, end) })
    }
    rest = chunk.subarray(at)
    peer.turn()
  })
}

/** Sends whole frames as fast as the other side takes them. */
const flood = (socket: Net.Socket, frame: Buffer, count: number): void => {
  const perBuffer = Math.ceil(floodBuffer / frame.length)
  const buffer = Buffer.concat(Array.from({ length: Math.min(perBuffer, count) }, () => frame))
  let left = count
  const more = (): void => {
    while (left > 0) {
      const frames = Math.min(left, perBuffer)
      left -= frames
      const free = socket.write(frames === perBuffer ? buffer : buffer.subarray(0, frames * frame.length))
      if (!free) {
        socket.once("drain", more)
        return
      }
    }
  }
  more()
}

/** Makes the line of a message to the measured client. */
type ToLine = (subject: string, reply: string, size: number) => string

/** Calls a service in a closed loop: each answer is followed by the next call. */
class Caller {
  private readonly calls: Calls
  private readonly send: (subject: string, reply: string, payload: Buffer) => void
  private readonly done: (latencies: ReadonlyArray<number>) => void
  private readonly body: ReadonlyArray<string>
  private readonly since = new Map<string, number>()
  private readonly latencies: Array<number> = []
  private readonly first: number
  private sent = 0

  constructor(
    calls: Calls,
    first: number,
    send: (subject: string, reply: string, payload: Buffer) => void,
    done: (latencies: ReadonlyArray<number>) => void
  ) {
    this.calls = calls
    this.first = first
    this.send = send
    this.done = done
    this.body = calls.body.split("$N")
    for (let i = 0; i < Math.min(calls.inFlight, calls.count); i++) this.call()
  }

  private call(): void {
    const number = String(this.first + this.sent++)
    this.since.set(number, performance.now())
    this.send(this.calls.subject, `answers.${number}`, Buffer.from(this.body.join(number)))
  }

  answered(number: string, payload: Buffer): void {
    const since = this.since.get(number)
    // Empty: a server of NatsRpc that says that it has the call.
    if (since === undefined || payload.length === 0) return
    this.since.delete(number)
    this.latencies.push(performance.now() - since)
    if (this.latencies.length === this.calls.count) this.done(this.latencies)
    else if (this.sent < this.calls.count) this.call()
  }
}

/** Answers what a measured client asks for. */
const serve = (socket: Net.Socket, toLine: ToLine): Omit<Peer, "line"> => {
  let written: Array<Buffer> = []
  let caller: Caller | undefined
  let called = 0
  const toBytes = (subject: string, reply: string, payload: Buffer): Buffer =>
    Buffer.concat([Buffer.from(toLine(subject, reply, payload.length), "latin1"), payload, Buffer.from("\r\n")])
  const write = (subject: string, reply: string, payload: Buffer): void => {
    written.push(toBytes(subject, reply, payload))
  }
  return {
    message({ payload, reply, subject }) {
      if (subject === "flood") {
        const [size, count] = payload.toString("latin1").split(" ")
        const data = size === "order" ? Buffer.from(JSON.stringify(order)) : Buffer.alloc(Number(size), 0x78)
        flood(socket, toBytes("data", "", data), Number(count))
      } else if (subject === "calls" && reply !== undefined) {
        const calls: Calls = JSON.parse(payload.toString())
        caller = new Caller(
          calls,
          called,
          write,
          (latencies) =>
            write(reply, "", Buffer.from(JSON.stringify(latencies.map((latency) => Number(latency.toFixed(4))))))
        )
        called += calls.count
      } else if (subject.startsWith("answers.")) {
        caller?.answered(subject.slice("answers.".length), payload)
      } else if (reply !== undefined) {
        write(reply, "", payload)
      }
    },
    turn() {
      if (written.length === 0) return
      socket.write(written.length === 1 ? written[0] : Buffer.concat(written))
      written = []
    }
  }
}

const asServer = (): void => {
  const server = Net.createServer({ noDelay: true }, (socket) => {
    const info = {
      server_id: "BENCH",
      server_name: "bench",
      version: "2.15.1",
      proto: 1,
      go: "",
      host: "127.0.0.1",
      port: 4222,
      headers: true,
      max_payload: 1_048_576,
      client_id: 1
    }
    const sids = new Map<string, string>()
    const sidOf = (subject: string): string => sids.get(subject) ?? sids.get(subject.replace(/[^.]+$/, "*")) ?? "0"
    socket.on("error", () => socket.destroy())
    socket.write(`INFO ${JSON.stringify(info)}\r\n`)
    read(socket, {
      line(text) {
        if (text === "PING") {
          socket.write("PONG\r\n")
        } else if (text.startsWith("SUB ")) {
          const words = text.split(" ")
          sids.set(words[1], words[words.length - 1])
        }
      },
      ...serve(
        socket,
        (subject, reply, size) => `MSG ${subject} ${sidOf(subject)} ${reply === "" ? "" : `${reply} `}${size}\r\n`
      )
    })
  })
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    process.send?.({ port: typeof address === "object" && address !== null ? address.port : 0 })
  })
}

const asClient = (port: number): void => {
  const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true })
  read(socket, {
    line(text) {
      if (text === "PING") socket.write("PONG\r\n")
      else if (text === "PONG") process.send?.({ port })
    },
    ...serve(socket, (subject, reply, size) => `PUB ${subject} ${reply === "" ? "" : `${reply} `}${size}\r\n`)
  })
  socket.write(
    "CONNECT {\"verbose\":false}\r\nSUB flood 1\r\nSUB echo 2\r\nSUB sink 3\r\nSUB calls 4\r\nSUB answers.* 5\r\nPING\r\n"
  )
}

if (process.argv[2] === "serve") asServer()
else asClient(Number(process.argv[3]))

// The runner has gone.
process.on("disconnect", () => process.exit())
