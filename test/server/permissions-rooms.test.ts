/**
 * The rights that each part of the package needs: docs/deployment.md has them as a table. With exactly these it works, and
 * without any one of them it says which subject is denied.
 */
import { assert, it } from "@effect/vitest"
import { Effect, Schema, type Scope, Stream } from "effect"
import { NatsClient, NatsHealth, NatsListener, NatsRecorder } from "effect-nats"
import { NatsRpc, NatsService, ServiceDiscovery } from "effect-nats/service"
import { TestNatsServer } from "effect-nats/testing"
import { Rpc, RpcClientError, RpcGroup } from "effect/rpc"
import * as fs from "node:fs"
import * as path from "node:path"
import { caller, serve } from "../fixtures/rpcRigs.ts"

interface Situation {
  readonly nats: NatsClient.NatsClient
  /** May do everything. */
  readonly admin: NatsClient.NatsClient
  /** For what makes a client of its own. */
  readonly url: string
  readonly own: NatsClient.Options
}

interface Denied {
  readonly _tag: string
  readonly subject?: string
}

interface Row {
  /** The first cell of its row in the page. */
  readonly what: string
  readonly publish?: ReadonlyArray<string>
  readonly subscribe?: ReadonlyArray<string>
  readonly allowResponses?: true
  readonly options?: NatsClient.Options
  readonly use: (situation: Situation) => Effect.Effect<unknown, unknown, Scope.Scope>
}

const inbox = "_INBOX.>"
const answer = NatsListener.replying(() => Effect.succeed("42"))
const as = (nats: NatsClient.NatsClient) => Effect.provideService(NatsClient.NatsClient, nats)

/** What nobody waits for is refused by an event of the client. */
const denial = (nats: NatsClient.NatsClient) =>
  Effect.flatMap(
    Stream.runHead(Stream.filter(nats.status, (event) => event._tag === "PermissionDenied")),
    (event) =>
      event._tag === "Some" && event.value._tag === "PermissionDenied" ? Effect.fail(event.value.error) : Effect.never
  )

const orDenied = <A, E, R>(nats: NatsClient.NatsClient, use: Effect.Effect<A, E, R>) =>
  Effect.raceFirst(use, denial(nats))

const briefly = { timeout: "2 seconds", stall: "50 millis" } as const

const Quotes = RpcGroup.make(Rpc.make("quote", { success: Schema.Finite }))
const quotes = { name: "quotes", version: "1.0.0" }
const serveQuotes = (nats: NatsClient.NatsClient) =>
  NatsService.make(Quotes, quotes).pipe(Effect.provide(Quotes.toLayer({ quote: () => Effect.succeed(42) })), as(nats))

/** Listens as the user, and is asked by somebody else. */
const answering = ({ admin, nats }: Situation) =>
  Effect.andThen(
    as(nats)(NatsListener.make("orders.total", answer)),
    orDenied(nats, admin.request("orders.total"))
  )

/** What the transport says of a failed call. */
const causeOf = (error: unknown): unknown => {
  if (!(error instanceof RpcClientError.RpcClientError)) return error
  const failure = NatsRpc.failureOf(error)
  return failure._tag === "Some" ? failure.value : error
}

const rows: ReadonlyArray<Row> = [
  {
    what: "publish",
    publish: ["orders.created"],
    use: ({ nats }) => nats.publish("orders.created", "1", { confirm: true })
  },
  {
    what: "subscribe, consume, listen",
    subscribe: ["orders.*"],
    use: ({ nats }) => nats.subscription("orders.*")
  },
  {
    what: "the same as a member of one queue group",
    subscribe: ["orders.* workers"],
    use: ({ nats }) => nats.subscription("orders.*", { queue: "workers" })
  },
  {
    what: "request, `requestMany`",
    publish: ["orders.total"],
    subscribe: [inbox],
    use: ({ admin, nats }) =>
      Effect.andThen(as(admin)(NatsListener.make("orders.total", answer)), nats.request("orders.total"))
  },
  {
    what: "the same with `inboxPrefix: \"_INBOX_shop\"`",
    publish: ["orders.total"],
    subscribe: ["_INBOX_shop.>"],
    options: { inboxPrefix: "_INBOX_shop" },
    use: ({ admin, nats }) =>
      Effect.andThen(as(admin)(NatsListener.make("orders.total", answer)), nats.request("orders.total"))
  },
  { what: "listen and answer", publish: [inbox], subscribe: ["orders.total"], use: answering },
  {
    what: "the same with `allow_responses`",
    subscribe: ["orders.total"],
    allowResponses: true,
    use: answering
  },
  {
    what: "`NatsService`",
    publish: [inbox],
    subscribe: ["quotes.quote", "$SRV.*", "$SRV.*.quotes", "$SRV.*.quotes.*"],
    use: ({ admin, nats }) => Effect.andThen(serveQuotes(nats), orDenied(nats, admin.request("quotes.quote")))
  },
  {
    what: "`NatsService.client`",
    publish: ["quotes.quote"],
    subscribe: [inbox],
    use: ({ admin, nats }) =>
      Effect.andThen(
        serveQuotes(admin),
        Effect.flatMap(as(nats)(NatsService.client(Quotes, quotes)), (client) => client.quote())
      )
  },
  {
    what: "`ServiceDiscovery`",
    publish: ["$SRV.PING", "$SRV.INFO", "$SRV.STATS"],
    subscribe: [inbox],
    use: ({ admin, nats }) =>
      Effect.andThen(
        serveQuotes(admin),
        as(nats)(Effect.all([
          Stream.runDrain(ServiceDiscovery.ping(briefly)),
          Stream.runDrain(ServiceDiscovery.info(briefly)),
          Stream.runDrain(ServiceDiscovery.stats(briefly))
        ]))
      )
  },
  {
    what: "`NatsRpc`, server",
    publish: [inbox],
    subscribe: ["users", "users.>"],
    use: ({ own, url }) =>
      Effect.gen(function*() {
        const { nats } = yield* serve(url, "server", { nats: own })
        const { users } = yield* caller(url, { nats: { auth: { user: "admin", password: "p" } } })
        yield* orDenied(nats, users.Which())
      })
  },
  {
    what: "`NatsRpc`, client",
    publish: ["users", "users.>"],
    subscribe: [inbox],
    use: ({ own, url }) =>
      Effect.gen(function*() {
        // The call that misses an acknowledgement is given up soon.
        const auth = { user: "admin", password: "p" }
        yield* serve(url, "server", { nats: { auth, drainTimeout: "200 millis" } })
        const { nats, users } = yield* caller(url, { nats: own })
        yield* Effect.mapError(
          orDenied(nats, Effect.andThen(users.Which(), Stream.runDrain(users.Count({ to: 100, each: 10 })))),
          causeOf
        )
      }).pipe(Effect.mapError(causeOf))
  },
  {
    what: "`NatsRecorder`",
    subscribe: ["orders.>", inbox],
    use: ({ nats }) => as(nats)(NatsRecorder.make(["orders.>", inbox]))
  },
  {
    what: "`NatsRecorder.replay`",
    publish: ["orders.total"],
    subscribe: [inbox],
    use: ({ admin, nats }) =>
      Effect.gen(function*() {
        yield* as(admin)(NatsListener.make("orders.total", answer))
        const entries = Stream.make({ at: 0, subject: "orders.total", reply: "_INBOX.1", payload: "" })
        for (const { answer } of yield* as(nats)(Stream.runCollect(NatsRecorder.replay(entries)))) {
          if (answer?._tag === "Failure") return yield* answer.failure
        }
      })
  },
  {
    what: "`banner`",
    publish: ["$SYS.REQ.USER.INFO"],
    subscribe: [inbox],
    // A server before 2.10 has no answer to it.
    use: ({ nats }) => Effect.catchTag(nats.request("$SYS.REQ.USER.INFO"), "NoResponders", () => Effect.void)
  },
  {
    what: "`flush`, `NatsHealth`, `reconnect`, `drain`",
    use: ({ nats }) =>
      Effect.gen(function*() {
        yield* nats.reconnect
        yield* nats.flush
        assert.isTrue((yield* NatsHealth.check(nats, { timeout: "20 seconds" })).ready)
        yield* nats.drain
      })
  }
]

const covers = (right: string, subject: string): boolean => {
  const pattern = right.split(" ")[0].split(".").map((token) =>
    token === ">" ? ".+" : token === "*" ? "[^.]+" : token.replaceAll("$", "\\$")
  )
  return new RegExp(`^${pattern.join("\\.")}$`).test(subject)
}

interface Case {
  readonly row: Row
  readonly publish: ReadonlyArray<string>
  readonly subscribe: ReadonlyArray<string>
  readonly allowResponses: boolean
  readonly without: string | undefined
}

/** Each row with all of its rights, and once without each. */
const cases = rows.flatMap((row): ReadonlyArray<Case> => {
  const { allowResponses = false, publish = [], subscribe = [] } = row
  const lacking = (without: string | undefined): Case => ({
    row,
    publish: publish.filter((right) => right !== without),
    subscribe: subscribe.filter((right) => right !== without),
    allowResponses: allowResponses && without !== inbox,
    without
  })
  return [undefined, ...publish, ...subscribe, ...(allowResponses ? [inbox] : [])].map(lacking)
})

/** None at all has to be said: an empty list denies nothing. */
const only = (rights: ReadonlyArray<string>) => rights.length === 0 ? { deny: ">" } : { allow: rights }

const userOf = (each: Case): string => `user-${cases.indexOf(each)}`

const account = (each: Case) => ({
  user: userOf(each),
  password: "p",
  permissions: {
    // What is denied is denied to answers, too.
    publish: each.allowResponses ? { allow: ["nothing"] } : only(each.publish),
    subscribe: only(each.subscribe),
    allowResponses: each.allowResponses
  }
})

/** What is wrong with the outcome of a case, if anything. */
const problemOf = ({ row, without }: Case, error: Denied | undefined): string | undefined => {
  const isRight = without === undefined
    ? error === undefined
    : error?._tag === "PermissionsViolation" && covers(without, error.subject ?? "")
  const outcome = `${error?._tag ?? "success"} ${error?.subject ?? ""}`.trim()
  return isRight ? undefined : `${row.what} without ${without ?? "nothing"}: ${outcome}`
}

it.live(
  "each part works with the rights of its row, and without any one of them says which subject is denied",
  () =>
    Effect.gen(function*() {
      const { url } = yield* TestNatsServer.make({ users: [{ user: "admin", password: "p" }, ...cases.map(account)] })
      const admin = yield* NatsClient.make({ servers: url, auth: { user: "admin", password: "p" } })
      const problems = yield* Effect.forEach(cases, (each) =>
        Effect.gen(function*() {
          const own = { ...each.row.options, auth: { user: userOf(each), password: "p" } }
          const nats = yield* NatsClient.make({ servers: url, ...own })
          const result = yield* Effect.result(each.row.use({ nats, admin, url, own }))
          return problemOf(each, result._tag === "Failure" ? result.failure as Denied : undefined)
        }).pipe(Effect.scoped))
      assert.deepStrictEqual(problems.filter((problem) => problem !== undefined), [])
    }),
  120_000
)

it("docs/deployment.md has these rows, with these rights", () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, "../../docs/deployment.md"), "utf8")
  const section = page.split(/^## /m).find((part) => part.startsWith("Permissions"))
  const table = (section ?? "").split("\n").filter((line) => line.startsWith("|")).slice(2)
    .map((line) => line.slice(1, -1).split(" | ").map((cell) => cell.trim()))
  const rightsIn = (cell: string) => [...cell.matchAll(/`([^`]+)`/g)].map(([, right]) => right)
  const tested = table.filter(([, , , link = ""]) => !link.includes("]("))
  assert.deepStrictEqual(
    tested.map(([what, publish, subscribe]) => [what, rightsIn(publish), rightsIn(subscribe)]),
    rows.map(({ allowResponses, publish = [], subscribe = [], what }) => [
      what,
      allowResponses === true ? ["allow_responses"] : publish,
      subscribe
    ])
  )
})
