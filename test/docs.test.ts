/** What the documents list is what the code has. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import * as environment from "../src/internal/config/environment.ts"
import { options } from "../src/internal/config/keys.ts"
import { connectErrorTags, errorClasses, errorTags, natsErrorTags } from "./fixtures/errorTags.ts"

const root = path.resolve(import.meta.dirname, "..")
const read = (name: string): string => fs.readFileSync(path.join(root, name), "utf8")

/** The rows of the tables of a section, without their heads. */
const rows = (name: string, section: RegExp): ReadonlyArray<ReadonlyArray<string>> => {
  const text = read(name).split(/^## /m).find((part) => section.test(part.split("\n")[0])) ?? ""
  const lines = text.split("\n")
  const isRule = (line: string | undefined): boolean => line !== undefined && /^\|[\s:|-]+\|$/.test(line)
  return lines.filter((line, index) => line.startsWith("|") && !isRule(line) && !isRule(lines[index + 1]))
    .map((line) => line.slice(1, -1).split("|").map((cell) => cell.trim()))
}

const tagsOf = (section: RegExp): ReadonlyArray<string> =>
  rows("docs/errors.md", section).map(([tag]) => tag.replaceAll("`", "")).filter((tag) => /^[A-Z]\w+$/.test(tag))

const sections = [
  /ConnectError/,
  /^Configuration/,
  /NatsError/,
  /^Services/,
  /^JetStream/,
  /^Stores/,
  /^Cluster/,
  /^Test servers/
]

/** What the table says of errors whose answer depends on a field, with the values for yes and those for no. */
const depends: ReadonlyMap<string, readonly [yes: ReadonlyArray<object>, no: ReadonlyArray<object>]> = new Map([
  ["only if not yet valid", [[{ notYetValid: true }], [{ notYetValid: false }]]],
  ["as its `reason` says", [[{ reason: { isRetryable: true } }], [{ reason: { isRetryable: false } }, { reason: {} }]]],
  ["for statuses 408, 425, 429, 5xx", [
    [408, 425, 429, 500, 503, 599].map((status) => ({ status })),
    [200, 301, 401, 404, 426, 499].map((status) => ({ status }))
  ]],
  ["as `reason` says", [[{ reason: { isRetryable: true } }], [{ reason: { isRetryable: false } }]]],
  ["with a `msgId`", [[{ msgId: "1" }], [{}]]],
  ["for “Exceeded MaxWaiting”", [[{ description: "Exceeded MaxWaiting" }], [{
    description: "Exceeded MaxRequestBatch"
  }]]],
  ["where a `domain` is given", [[{ domain: "hub" }], [{}]]],
  ["for codes 429 and 503", [[{ code: 429 }, { code: 503 }], [{ code: 500 }, { code: 404 }, { code: 0 }]]]
])

describe("docs/errors.md", () => {
  it("has every error of a connection, once", () => {
    assert.deepStrictEqual(tagsOf(/ConnectError/).toSorted(), connectErrorTags.toSorted())
  })

  it("has every error of an operation, once", () => {
    assert.deepStrictEqual(tagsOf(/NatsError/).toSorted(), natsErrorTags.toSorted())
  })

  it("has every other error of the package, and none that does not exist", () => {
    const all = sections.flatMap(tagsOf)
    assert.deepStrictEqual(all.toSorted(), errorTags.toSorted())
  })

  it("says of each whether trying again can help, as `isRetryable` does", () => {
    const table = sections.flatMap((section) => rows("docs/errors.md", section)).filter((cells) => cells.length === 4)
    assert.strictEqual(table.length, errorClasses.length)
    for (const [tag, , , retryable] of table) {
      const { prototype } = errorClasses.find(({ name }) => `\`${name}\`` === tag)!
      const isRetryable = (fields: object): unknown =>
        Object.getOwnPropertyDescriptor(prototype, "isRetryable")?.get?.call(fields)
      const [yes, no] = depends.get(retryable) ?? (retryable === "yes" ? [[{}], []] : [[], [{}]])
      assert.include(["yes", "no", ...depends.keys()], retryable, tag)
      assert.deepStrictEqual(yes.map(isRetryable), yes.map(() => true), tag)
      assert.deepStrictEqual(no.map(isRetryable), no.map(() => false), tag)
    }
  })
})

describe("docs/getting-started.md", () => {
  it("has every environment variable, and none that does not exist", () => {
    const variables = rows("docs/getting-started.md", /^Every option/).flatMap(([, cell]) =>
      cell.match(/NATS_[A-Z_]+/g) ?? []
    )
    assert.deepStrictEqual(variables.toSorted(), environment.names.map((name) => `NATS_${name}`).toSorted())
  })

  it("has every option beside its variable", () => {
    const documented = new Map(
      rows("docs/getting-started.md", /^Every option/).flatMap(([names, variables]) => {
        const found = variables.match(/NATS_[A-Z_]+/g) ?? []
        return [...names.matchAll(/`([\w.]+)`/g)].map(([, name], index) => [name, found[index]] as const)
      })
    )
    const expected = Object.entries(options).filter(([option]) => !option.startsWith("auth."))
      .map(([option, [variable]]) => [option, `NATS_${variable}`])
    documented.delete("auth")
    assert.deepStrictEqual(Object.fromEntries(documented), Object.fromEntries(expected))
  })
})

/** What a user of Panini 0.8.4 and its connection can have written. */
const paniniNames = [
  "host port servers service_name client_nats_name reconnect max_reconnect_attempts reconnecting_time_sleep",
  "allocation_queue_group logger_required logger_files_path logger_in_separate_process custom_logger",
  "pending_bytes_limit ignore_tasks_exceptions auth enable_js app.start @app.listen @app.js_listen @app.task",
  "@app.timer_task @app.on_start_task app.publish app.request publish_sync request_sync publish_js",
  "_from_another_thread subscribe_new_subject unsubscribe_subject disconnect check_connection add_filters",
  "add_middleware app.js app.nats.client get_app banner panini_events. data_type response_data_type reply_to force",
  "headers timeout ErrorMiddleware NATSTimeoutMiddleware DebugMiddleware PrometheusMonitoringMiddleware",
  "TracingMiddleware register_trace SpanConfig WriterEmulatorMiddleware ReaderEmulatorMiddleware send_publish",
  "send_request listen_publish listen_request send_any listen_any setup_web_server app.http log_config.json",
  "TestClient use_web_server use_web_socket base_nats_url count_subject_calls Validator validation_error_cb",
  "InitializingNATSError NotReadyError NATSTimeoutError EventHandlingError PublishError RequestError SubscribeError",
  "UnsubscribeError ValidationError MessageSchemaError DecodeError DataTypeError TestClientError BaseError",
  "CriticalError JetStreamNotEnabledError Grafana user_credentials nkeys_seed nkeys_seed_str user_jwt_cb",
  "signature_cb tls_hostname tls_handshake_first inbox_prefix connect_timeout error_cb disconnected_cb",
  "reconnected_cb closed_cb discovered_server_cb"
].flatMap((line) => line.split(" "))

describe("docs/coming-from-panini.md", () => {
  it("has every name of Panini", () => {
    const document = read("docs/coming-from-panini.md")
    assert.deepStrictEqual(paniniNames.filter((name) => !document.includes(name)), [])
  })
})

describe("docs/architecture.md", () => {
  const rooms = fs.readdirSync(path.join(root, "src", "internal"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory()).map(({ name }) => name)

  it("names files that exist", () => {
    const named = [...read("docs/architecture.md").matchAll(/`([\w./-]+\.(?:ts|mjs|md|json))`/g)].map(([, name]) =>
      name
    )
    assert.isAbove(named.length, 40)
    // A file is named with its room, or behind one that is.
    const published = ["service", "jetstream", "persistence", "cluster"].map((room) => `src/${room}/internal`)
    const folders = [".", "src", "src/internal", ...rooms.map((room) => `src/internal/${room}`), ...published]
    const missing = named.filter((name) => !folders.some((folder) => fs.existsSync(path.join(root, folder, name))))
    assert.deepStrictEqual(missing, [])
  })

  it("has every room", () => {
    const named = rows("docs/architecture.md", /^The rooms/).map(([room]) => room)
    assert.sameMembers([...named], rooms.map((room) => `\`${room}/\``))
  })
})

describe("the documents", () => {
  const names = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    ...fs.readdirSync(path.join(root, "docs"), { encoding: "utf8", recursive: true })
      .filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`)
  ]

  /** The files that a document links to, from the root on. */
  const linksOf = (name: string): ReadonlyArray<string> =>
    [...read(name).matchAll(/\]\((?!https?:)([^)\s#]+)/g)].map(([, file]) => path.join(path.dirname(name), file))

  /** As GitHub makes the anchor of a heading. */
  const anchor = (heading: string): string =>
    heading.toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, "").trim().replaceAll(" ", "-")

  it("link to files and headings that exist", () => {
    for (const name of names) {
      for (const [, target] of read(name).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [file, fragment] = target.split("#")
        const linked = file === "" ? name : path.join(path.dirname(name), file)
        assert.isTrue(fs.existsSync(path.join(root, linked)), `${name} links to ${target}`)
        if (fragment === undefined) continue
        const anchors = [...read(linked).matchAll(/^#+ (.*)$/gm)].map((heading) => anchor(heading[1]))
        assert.include(anchors, fragment, `${name} links to ${target}`)
      }
    }
  })

  it("lead from the README to every page", () => {
    const found = new Set(["README.md"])
    for (const name of found) {
      if (names.includes(name)) { for (const linked of linksOf(name)) found.add(linked) }
    }
    assert.deepStrictEqual(names.filter((name) => name.startsWith("docs/") && !found.has(name)), [])
  })

  it("name every example", () => {
    const documents = names.map(read).join("\n")
    for (const file of fs.readdirSync(path.join(root, "examples"))) {
      assert.include(documents, `examples/${file}`, `no document links to examples/${file}`)
    }
  })
})
