/**
 * The other side of a measured client, as cheap as it can be made in Node, and the same for both clients.
 *
 *   node bench/load.ts serve            speaks the server side of the protocol itself and tells its port
 *   node bench/load.ts client <port>    is another client of a real server
 *
 * Either way: a message to `flood` with `<size> <count>` makes it send `count` messages of `size` bytes to `data`, a
 * message to `echo` is answered with its payload, and what goes to `sink` is read and dropped.
 */
import * as Net from "node:net"

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

/** Reads PUB lines of a client, or MSG lines of a server. */
const read = (socket: Net.Socket, peer: Peer): void => {
  let rest: Buffer = Buffer.alloc(0)
  socket.on("data", (data: Buffer) => {
    const chunk = rest.length === 0 ? data : Buffer.concat([rest, data])
    let at = 0
    while (at < chunk.length) {
      const newline = chunk.indexOf(LF, at)
      if (newline < 0) break
      const line = chunk.toString("latin1", at, newline - 1)
      const isPub = line.startsWith("PUB ")
      if (!isPub && !line.startsWith("MSG ")) {
        at = newline + 1
        peer.line(line)
        continue
      }
      const words = line.split(" ")
      const end = newline + 1 + Number(words[words.length - 1])
      if (end + 2 > chunk.length) break
      at = end + 2
      if (words[1] === "sink") continue
      const reply = words.length === (isPub ? 4 : 5) ? words[words.length - 2] : undefined
      peer.message({ subject: words[1], reply, payload: chunk.subarray(newline + 1, end) })
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

/** Answers what a measured client asks for. `frame` makes the message that reaches it, on a subject. */
const serve = (socket: Net.Socket, frame: (subject: string, payload: Buffer) => string): Omit<Peer, "line"> => {
  let answers: Array<Buffer> = []
  const toBytes = (subject: string, payload: Buffer): Buffer =>
    Buffer.concat([Buffer.from(frame(subject, payload), "latin1"), payload, Buffer.from("\r\n")])
  return {
    message({ payload, reply, subject }) {
      if (subject === "flood") {
        const [size, count] = payload.toString("latin1").split(" ").map(Number)
        flood(socket, toBytes("data", Buffer.alloc(size, 0x78)), count)
      } else if (reply !== undefined) {
        answers.push(toBytes(reply, payload))
      }
    },
    turn() {
      if (answers.length === 0) return
      socket.write(answers.length === 1 ? answers[0] : Buffer.concat(answers))
      answers = []
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
      ...serve(socket, (subject, payload) => `MSG ${subject} ${sidOf(subject)} ${payload.length}\r\n`)
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
    ...serve(socket, (subject, payload) => `PUB ${subject} ${payload.length}\r\n`)
  })
  socket.write("CONNECT {\"verbose\":false}\r\nSUB flood 1\r\nSUB echo 2\r\nSUB sink 3\r\nPING\r\n")
}

if (process.argv[2] === "serve") asServer()
else asClient(Number(process.argv[3]))

// The runner has gone.
process.on("disconnect", () => process.exit())
