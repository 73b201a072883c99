/**
 * Services: a responder against one of nats.js that does the same `JSON.parse` and `JSON.stringify`. Both are called by
 * the load generator; only the rows of a stream and of the restarts have both sides in the measured process.
 */
import { both, type Cases, job, row, type Run, type Runs } from "./cases.ts"

const of = (work: string, server: Run["server"], inFlight: number, warm: number, count: number): Run => ({
  server,
  job: job("ours", work, 0, warm, count, inFlight)
})

const runs: Runs = {
  ...both("service", "scripted", "service", 0, 30_000, 60_000, 50),
  "service/rpc": of("service-rpc", "scripted", 50, 15_000, 30_000),
  ...both("service one by one", "scripted", "service", 0, 8_000, 10_000, 1),
  ...both("real service", "real", "service", 0, 20_000, 40_000, 50),
  "real service/rpc": of("service-rpc", "real", 50, 12_000, 20_000),
  "rpc/stream": of("service-rpc-stream", "real", 1, 100_000, 100_000),
  "rpc/unary": of("service-rpc-unary", "real", 50, 10_000, 20_000),
  "rolling restart": { ...of("service-rolling", "real", 50, 5_000, 100_000), rounds: 1 }
}

// A throughput of 0.9 is 1.11 times the time.
const throughput = (least: number) => ({ measure: "wall", target: Math.round(100 / least) / 100 } as const)

const rows = [
  row("50 calls in flight", "`NatsService`, CPU", "service/ours", "service/raw"),
  row("50 calls in flight", "`NatsService`, time per call", "service/ours", "service/raw", throughput(0.9)),
  row("50 calls in flight", "`NatsRpc`, CPU", "service/rpc", "service/raw"),
  row("50 calls in flight", "`NatsRpc`, time per call", "service/rpc", "service/raw", throughput(0.6)),
  row("One by one", "`NatsService`, CPU", "service one by one/ours", "service one by one/raw"),
  row("One by one", "`NatsService`, p50", "service one by one/ours", "service one by one/raw", {
    measure: "p50",
    unit: "ms",
    target: 1
  }),
  row("Real server, 50 in flight", "`NatsService`, CPU", "real service/ours", "real service/raw"),
  row(
    "Real server, 50 in flight",
    "`NatsService`, time per call",
    "real service/ours",
    "real service/raw",
    throughput(0.9)
  ),
  row("Real server, 50 in flight", "`NatsRpc`, CPU", "real service/rpc", "real service/raw"),
  row("Real server, 50 in flight", "`NatsRpc`, time per call", "real service/rpc", "real service/raw", throughput(0.6)),
  row("`NatsRpc`, both sides", "an element of a stream of 100,000, against a call", "rpc/stream", "rpc/unary", {
    measure: "wall",
    target: 0.2
  }),
  row("Restarts under load", "failed of 100,000 calls", "rolling restart", undefined, {
    measure: "failed",
    unit: "",
    by: "itself",
    target: 0
  })
]

export const serviceCases: Cases = { runs, sections: [{ title: "Services", rows: rows }] }
