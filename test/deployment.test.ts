/** What deploys the program is what the program is: manifests, image, unit and page. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Logger } from "effect"
import { NatsConfig } from "effect-nats"
import { TestCertificates } from "effect-nats/testing"
import * as fs from "node:fs"
import * as path from "node:path"
import { names } from "../src/internal/config/environment.ts"
import { resolveCredentials } from "../src/internal/wire/credentials.ts"
import { WarnedFiles } from "../src/internal/wire/secretFile.ts"
import { resolveTls } from "../src/internal/wire/tlsMaterial.ts"
import {
  readDeployed,
  readDeployment,
  readManifests,
  startProgram,
  variablesOf,
  writeVolume,
  writeVolumes
} from "./fixtures/deployed.ts"
import { directory } from "./fixtures/directory.ts"
import { until } from "./fixtures/following.ts"
import { credsText, identity } from "./fixtures/identity.ts"

const deployment = readDeployment()
const pod = deployment.spec.template.spec
const [container] = pod.containers
const john = identity(1)

/** What of the client ends after its deadline, by docs/connection-lifecycle.md, and what else a program may do there. */
const margin = Duration.seconds(5)

const known = new Set(names.map((name) => `NATS_${name}`))

const decode = (variables: Readonly<Record<string, string>>) =>
  Effect.provideService(
    NatsConfig.fromEnv(),
    ConfigProvider.ConfigProvider,
    ConfigProvider.fromUnknown(variables)
  )

const noVolumes = new Map(pod.volumes.map(({ name }) => [name, `/${name}`]))

describe("examples/deployment/kubernetes.yaml", () => {
  it.effect("sets variables that are read, and all that they say decodes", () =>
    Effect.gen(function*() {
      const variables = variablesOf(deployment, "quotes-1", noVolumes)
      const ours = Object.keys(variables).filter((name) => name !== "HEALTH_PORT")
      assert.deepStrictEqual(ours.filter((name) => !known.has(name)), [])
      assert.include(readDeployed("service.ts"), `Config.Port("HEALTH_PORT")`)
      const config = yield* decode(variables)
      assert.strictEqual(config.name, "quotes-1")
      assert.strictEqual(config.auth._tag, "CredsFile")
      assert.strictEqual(config.tls.mode, "require")
      assert.isTrue(config.reconnect !== false && config.reconnect.onFirstConnect === "background")
    }))

  it("mounts the directory of each secret file, whole, read-only, and from a volume that is there", () => {
    const files = container.env.filter(({ name }) => name.endsWith("_FILE"))
    assert.lengthOf(files, 4)
    const used = files.map(({ name, value = "" }) => {
      const mount = container.volumeMounts.find(({ mountPath }) => path.dirname(value) === mountPath)
      assert.isDefined(mount, `${name} is in no volume`)
      return mount!.name
    })
    assert.sameMembers([...new Set(used)], pod.volumes.map(({ name }) => name))
    for (const { name, readOnly, subPath } of container.volumeMounts) {
      assert.isTrue(readOnly, name)
      assert.isUndefined(subPath, `${name}: what is mounted by subPath is never replaced`)
    }
  })

  it.effect("has secrets that the user of the container can read, of a mode that gives no warning", () =>
    Effect.gen(function*() {
      assert.isTrue(pod.securityContext.runAsNonRoot)
      assert.isAbove(pod.securityContext.runAsUser, 0)
      assert.isAbove(pod.securityContext.fsGroup, 0)
      const lines: Array<unknown> = []
      for (const { name, secret } of pod.volumes) {
        const mode = secret.defaultMode ?? 0o644
        // The files are root's, and of the group `fsGroup`.
        assert.strictEqual(mode & 0o040, 0o040, name)
        const volume = yield* directory
        writeVolume(volume, mode, { "nats.creds": credsText(john.jwt(), john.seed), "tls.key": "no key" })
        const tls = { mode: "require", handshakeFirst: false, dangerouslyDisableVerification: false } as const
        yield* Effect.all([
          resolveCredentials({ _tag: "CredsFile", path: `${volume}/nats.creds` }),
          Effect.flip(resolveTls({ ...tls, keyFile: `${volume}/tls.key` }))
        ]).pipe(
          Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(message))])),
          Effect.provideService(WarnedFiles, new Set())
        )
      }
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("gives the program more time to end than it takes at most", () =>
    Effect.gen(function*() {
      const { drainTimeout } = yield* decode(variablesOf(deployment, "quotes-1", noVolumes))
      const needed = Duration.sum(drainTimeout, margin)
      assert.isAtLeast(pod.terminationGracePeriodSeconds, Duration.toSeconds(needed))
      // A service leaves its queue group itself: nothing has to be waited for before.
      assert.isUndefined(container.lifecycle)
    }))

  it.effect("has probes at the port of the program that wait longer than a check takes", () =>
    Effect.sync(() => {
      const port = Number(container.env.find(({ name }) => name === "HEALTH_PORT")?.value)
      for (const { httpGet, timeoutSeconds } of [container.livenessProbe, container.readinessProbe]) {
        const ported = container.ports.find(({ containerPort, name }) =>
          name === httpGet.port || containerPort === httpGet.port
        )
        assert.strictEqual(ported?.containerPort, port)
        assert.isAbove(timeoutSeconds, 1)
      }
    }))

  it.live(
    "runs a program that answers its probes while there is no broker, and ends with 0",
    () =>
      Effect.gen(function*() {
        const authority = yield* TestCertificates.authority()
        const { cert, key } = yield* authority.issue()
        const volumes = writeVolumes(deployment, yield* directory, {
          nats: { "nats.creds": credsText(john.jwt(), john.seed) },
          tls: { "ca.crt": authority.cert, "tls.crt": cert, "tls.key": key }
        })
        const variables = variablesOf(deployment, "quotes-1", volumes)
        const running = yield* startProgram({ ...variables, NATS_URL: "tls://127.0.0.1:1" })
        assert.strictEqual(yield* running.probe(container.livenessProbe.httpGet.path), 200)
        assert.strictEqual(yield* running.probe(container.readinessProbe.httpGet.path), 503)
        assert.strictEqual(yield* running.probe("/another"), 404)
        yield* until(Effect.map(running.output, (output) => output.includes("Waiting for NATS: Nothing listens")))
        yield* running.terminate
        assert.strictEqual(yield* running.ended, 0)
      }),
    120_000
  )

  it("replaces replicas one at a time, the next before the last, and keeps one through a disruption", () => {
    const { replicas, selector, strategy, template } = deployment.spec
    assert.deepInclude(strategy.rollingUpdate, { maxUnavailable: 0, maxSurge: 1 })
    assert.isAbove(replicas, 1)
    assert.deepStrictEqual(selector.matchLabels, template.metadata.labels)
    const budget = readManifests().find((manifest) => manifest.kind === "PodDisruptionBudget")
    assert.deepStrictEqual(budget?.spec.selector.matchLabels, template.metadata.labels)
    // More would forbid every drain of a node.
    assert.isBelow(budget!.spec.minAvailable, replicas)
  })
})

describe("examples/deployment/Dockerfile", () => {
  const instructions = readDeployed("Dockerfile").split("\n").filter((line) => /^[A-Z]/.test(line))
    .map((line) => line.split(" ")[0] === "CMD" ? ["CMD", line.slice(4)] : line.split(" "))
  const argumentsOf = (instruction: string) => instructions.findLast(([name]) => name === instruction)?.slice(1) ?? []

  it("starts node itself, as a user that is not root, with a file that it copies", () => {
    const command: unknown = JSON.parse(argumentsOf("CMD")[0])
    assert.deepStrictEqual(command, ["node", "service.ts"])
    assert.include(argumentsOf("COPY"), "service.ts")
    assert.isTrue(fs.existsSync(path.join(import.meta.dirname, "../examples/deployment/service.ts")))
    assert.deepStrictEqual(argumentsOf("USER"), ["node"])
    assert.isBelow(
      instructions.findIndex(([name]) => name === "USER"),
      instructions.findIndex(([name]) => name === "CMD")
    )
  })

  it("has a node that runs TypeScript and this package", () => {
    const images = instructions.filter(([name]) => name === "FROM").map(([, image]) => /^node:(\d+)-slim$/.exec(image))
    assert.lengthOf(images, 2)
    for (const image of images) assert.isAtLeast(Number(image?.[1]), 24)
  })

  it("names the port of the probes", () => {
    assert.deepStrictEqual(argumentsOf("EXPOSE"), [String(container.ports[0].containerPort)])
  })
})

describe("examples/deployment/quotes.service", () => {
  const settings = readDeployed("quotes.service").split("\n")
    .filter((line) => /^\w+=/.test(line)).map((line) => [line.split("=")[0], line.slice(line.indexOf("=") + 1)])
  const all = (name: string) => settings.filter(([key]) => key === name).map(([, value]) => value)
  const one = (name: string) => {
    const values = all(name)
    assert.lengthOf(values, 1, name)
    return values[0]
  }
  const variables = Object.fromEntries(
    all("Environment").map((text) => {
      const [name, ...value] = text.replace(/^"(.*)"$/, "$1").split("=")
      return [name, value.join("=")]
    })
  )

  it.effect("sets variables that are read, and each file is a credential that it loads", () =>
    Effect.gen(function*() {
      const ours = Object.keys(variables).filter((name) => name !== "HEALTH_PORT")
      assert.deepStrictEqual(ours.filter((name) => !known.has(name)), [])
      const credentials = all("LoadCredential").map((text) => text.split(":")[0])
      const files = Object.entries(variables).filter(([name]) => name.endsWith("_FILE")).map(([, value]) => value)
      assert.sameMembers(files, credentials.map((name) => `%d/${name}`))
      yield* decode(variables)
    }))

  it.effect("stops the program with the signal that it hears, and gives it the time that it needs", () =>
    Effect.gen(function*() {
      const { drainTimeout } = yield* decode(variables)
      assert.strictEqual(one("KillSignal"), "SIGTERM")
      assert.match(one("TimeoutStopSec"), /^\d+s$/)
      assert.isAtLeast(Number.parseInt(one("TimeoutStopSec")), Duration.toSeconds(Duration.sum(drainTimeout, margin)))
      // The program ends with 0: nothing else is a success.
      assert.deepStrictEqual(all("SuccessExitStatus"), [])
      assert.strictEqual(one("Restart"), "on-failure")
    }))

  it("starts a file that is there", () => {
    const [node, file] = one("ExecStart").split(" ")
    assert.deepStrictEqual([path.basename(node), path.basename(file)], ["node", "service.ts"])
    assert.strictEqual(path.dirname(file), one("WorkingDirectory"))
  })
})

describe("docs/deployment.md", () => {
  const page = fs.readFileSync(path.join(import.meta.dirname, "../docs/deployment.md"), "utf8")
  const blocks = new Set([...page.matchAll(/^```\w.*\n([\s\S]*?)^```$/gm)].map(([, text]) => text))

  for (const name of fs.readdirSync(path.join(import.meta.dirname, "../examples/deployment"))) {
    it(`shows examples/deployment/${name} as it is`, () => {
      assert.isTrue(blocks.has(readDeployed(name)), `${name} is not in the page, or another version of it`)
    })
  }
})
