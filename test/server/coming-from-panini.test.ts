/** Every program in docs/coming-from-panini.md runs, and prints what it says. */
import { NodeServices } from "@effect/platform-node"
import { afterAll, assert, it } from "@effect/vitest"
import { ConfigProvider, Console, Effect, Exit, Layer, type Scope } from "effect"
import { NatsClient } from "effect-nats"
import { TestNatsServer } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { format } from "node:util"
import { readBlocks } from "../../scripts/docs.mjs"
import { firstMissing } from "../../scripts/examples.mjs"

const document = "docs/coming-from-panini.md"
const root = path.resolve(import.meta.dirname, "..", "..")
const text = fs.readFileSync(path.join(root, document), "utf8").split("\n")

type Services = NatsClient.NatsClient | NodeServices.NodeServices | Scope.Scope

// In the project, so that its modules are found.
const directory = (() => {
  const parent = path.join(root, ".cache")
  fs.mkdirSync(parent, { recursive: true })
  return fs.mkdtempSync(path.join(parent, "panini-"))
})()
afterAll(() => fs.rmSync(directory, { recursive: true }))

/** A block ends with what it prints, as comments below `// Prints:`. */
const promised = (code: string): ReadonlyArray<string> => {
  const lines = code.split("\n")
  const start = lines.indexOf("// Prints:")
  return start < 0 ? [] : lines.slice(start + 1).map((line) => line.replace(/^\/\/ {2,}/, "").trim())
}

/** Runs a block as a user would who pastes it, with the environment that names the server. */
const run = Effect.fnUntraced(function*(line: number, code: string) {
  const file = path.join(directory, `${line}.ts`)
  fs.writeFileSync(file, `${code}\nexport { program }\n`)
  const { program } = (yield* Effect.promise(() => import(file))) as {
    readonly program: Effect.Effect<unknown, unknown, Services>
  }
  const server = yield* TestNatsServer.TestNatsServer
  const lines: Array<string> = []
  const print = (...values: ReadonlyArray<unknown>): void => {
    lines.push(format(...values))
  }
  const capturing: Console.Console = Object.assign(Object.create(console), { log: print, error: print, info: print })
  const exit = yield* program.pipe(
    Effect.scoped,
    Effect.provide([
      Layer.fresh(NatsClient.layer({ servers: server.url })),
      NodeServices.layer,
      ConfigProvider.layer(ConfigProvider.fromUnknown({ NATS_URL: server.url }))
    ]),
    Effect.provideService(Console.Console, capturing),
    Effect.exit
  )
  return { exit, printed: lines.join("\n") }
})

/** What a user of Panini 0.8.4 and its connection can have written. */
const names = [
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

it("every name of Panini has its place in the document", () => {
  const document = text.join("\n")
  assert.deepStrictEqual(names.filter((name) => !document.includes(name)), [])
})

it.layer(TestNatsServer.layer({ jetstream: true }), { timeout: "30 seconds", excludeTestServices: true })(
  document,
  (it) => {
    for (const { code, file, line } of readBlocks()) {
      if (file !== document) continue
      const heading = text.slice(0, line).findLast((each) => each.startsWith("#"))?.replace(/^#+ /, "")
      it.effect(`the program at line ${line} (${heading}) runs and prints what it says`, () =>
        Effect.gen(function*() {
          const lines = promised(code)
          assert.isNotEmpty(lines, "it says nothing below `// Prints:`")
          const { exit, printed } = yield* run(line, code)
          assert.isTrue(Exit.isSuccess(exit), `${String(exit)}\n${printed}`)
          assert.isUndefined(firstMissing(lines, printed), printed)
        }))
    }
  }
)
