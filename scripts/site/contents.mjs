/** The order of the manual. Every page of `docs` stands here once, as the build checks. */

/** Pages of `docs`, by their name without the ending; the title is their heading. */
export const guide = [
  { text: "Start", pages: ["getting-started", "authentication", "connection-lifecycle", "errors"] },
  { text: "Messages", pages: ["messaging", "receiving", "back-pressure", "typed-subjects"] },
  { text: "Services", pages: ["services", "rpc"] },
  { text: "JetStream and its stores", pages: ["jetstream", "consumers", "key-value", "object-store"] },
  { text: "Effect's services", pages: ["persistence", "cluster", "workflows"] },
  { text: "Running it", pages: ["deployment", "telemetry", "dashboard", "cli", "testing", "performance"] }
]

export const migration = ["coming-from-nats-js", "coming-from-panini", "from-0.1", "compat"]

/** Pages about the project: their file in the repository, and their name on the site. */
export const project = [
  { file: "README.md", name: "overview", title: "Overview" },
  { file: "CHANGELOG.md", name: "changelog" },
  { file: "docs/architecture.md", name: "architecture" },
  { file: "CONTRIBUTING.md", name: "contributing" },
  { file: "RELEASING.md", name: "releasing" },
  { file: "SECURITY.md", name: "security" },
  { file: "bench/README.md", name: "benchmarks" }
]

/** Examples by area: programs of `examples`, without the ending. */
export const examples = [
  { text: "Start", programs: ["quickstart", "publish-subscribe", "request-reply", "request-many", "queue-groups"] },
  {
    text: "Connection and authentication",
    programs: [
      "user-password",
      "token",
      "nkey",
      "jwt-creds",
      "mtls",
      "auth-callout",
      "rotating-credentials",
      "permissions",
      "env-config",
      "file-config",
      "several-servers",
      "two-accounts",
      "wait-for-broker",
      "reconnect-status"
    ]
  },
  {
    text: "Handling messages",
    programs: [
      "consume",
      "listeners",
      "back-pressure",
      "typed-subjects",
      "launch",
      "graceful-shutdown",
      "record-replay"
    ]
  },
  { text: "Services", programs: ["service", "async-api", "rpc", "http-and-nats", "express", "fastify"] },
  {
    text: "JetStream and its stores",
    programs: [
      "provisioning",
      "exactly-once-publish",
      "work-queue",
      "started-event",
      "ordered-replay",
      "config-view",
      "leader-election",
      "object-upload"
    ]
  },
  {
    text: "Effect's services",
    programs: ["persisted-cache", "job-queue", "rate-limit", "cluster-counter", "timer", "order-workflow"]
  },
  { text: "Running it", programs: ["health", "metrics", "tracing", "opentelemetry", "nats-js-libraries"] },
  { text: "A fleet", programs: ["shop"] }
]

/** Folders of `examples` that are no program, each with a page. */
export const folders = [
  {
    name: "starter",
    text: "What [`npx effect-nats init`](/guide/cli#init) makes: a service with its test and its image."
  },
  {
    name: "deployment",
    text: "What [Running it](/guide/deployment) explains, as files: Kubernetes, a container, systemd."
  }
]
