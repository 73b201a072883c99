/** What `effect-nats init` makes says of itself what is so: its variables, its image, its page. */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect } from "effect"
import { NatsConfig } from "effect-nats"
import * as fs from "node:fs"
import * as path from "node:path"
import { buildImage, readDockerfile } from "../scripts/dockerfile.mjs"
import { names } from "../src/internal/config/environment.ts"
import { directory } from "./fixtures/directory.ts"

const examples = path.resolve(import.meta.dirname, "..", "examples")
const starter = path.join(examples, "starter")
const read = (name: string): string => fs.readFileSync(path.join(starter, name), "utf8")

/** Variables that the program reads itself, each with its default. */
const ownVariables = fs.readdirSync(path.join(starter, "src")).flatMap((name) =>
  [...read(`src/${name}`).matchAll(/Config\.\w+\("([A-Z_]+)"\)\.pipe\(Config\.withDefault\("?([^")]+)"?\)\)/g)]
    .map(([, variable, standard]) => [variable, standard] as const)
)

/** Those of `.env.example`, and those that it has as comments. */
const lines = read(".env.example").split("\n")
const variables = (pattern: RegExp) =>
  lines.flatMap((line) => {
    const [, name, value] = pattern.exec(line) ?? []
    return name === undefined ? [] : [[name, value] as const]
  })
const set = variables(/^([A-Z_]+)=(.*)$/)
const offered = variables(/^#([A-Z_]+)=(.*)$/)

describe("examples/starter/.env.example", () => {
  it.effect("has variables that are read, and what it sets decodes", () =>
    Effect.gen(function*() {
      const known = new Set([...names.map((name) => `NATS_${name}`), ...ownVariables.map(([name]) => name)])
      assert.isAtLeast(set.length, 4)
      assert.isAtLeast(offered.length, 3)
      assert.deepStrictEqual([...set, ...offered].map(([name]) => name).filter((name) => !known.has(name)), [])
      const config = yield* Effect.provideService(
        NatsConfig.fromEnv(),
        ConfigProvider.ConfigProvider,
        ConfigProvider.fromUnknown(Object.fromEntries(set))
      )
      assert.isTrue(config.reconnect !== false && config.reconnect.onFirstConnect === "wait")
    }))

  it("shows the defaults of the program's own variables, as README.md does", () => {
    assert.deepStrictEqual(ownVariables.map(([name]) => name).toSorted(), ["GREETING", "PORT"])
    const page = read("README.md")
    for (const [name, standard] of ownVariables) {
      assert.deepInclude(set, [name, standard])
      assert.match(page, new RegExp(`^\\| \`${name}\` +\\| \`${standard}\` +\\|`, "m"))
    }
  })
})

describe("examples/starter/README.md", () => {
  it("names every file, and none that is not there", () => {
    const named = [...read("README.md").matchAll(/^\| `([^`/][^`]*)` /gm)].map(([, name]) => name)
      .filter((name) => /[./]|file$/.test(name))
    const there = fs.readdirSync(starter, { recursive: true, encoding: "utf8" }).filter((name) => {
      const isFile = fs.statSync(path.join(starter, name)).isFile()
      return isFile && !["README.md", "tsconfig.json", ".gitignore", ".dockerignore"].includes(name)
    })
    assert.sameMembers(named, there)
  })
})

describe("examples/starter/Dockerfile", () => {
  const instructions = readDockerfile(path.join(starter, "Dockerfile"))
  const textsOf = (name: string) => instructions.filter((each) => each.name === name).map(({ text }) => text)

  it("is what docs/deployment.md says of images", () => {
    const documented = readDockerfile(path.join(examples, "deployment", "Dockerfile"))
    for (const name of ["FROM", "WORKDIR", "RUN", "USER"]) {
      assert.deepStrictEqual(
        textsOf(name),
        documented.filter((each) => each.name === name).map(({ text }) => text),
        name
      )
    }
    assert.deepStrictEqual(textsOf("CMD"), ["[\"node\", \"src/main.ts\"]"])
  })

  it("names the port that the program has by itself", () => {
    assert.deepStrictEqual(textsOf("EXPOSE"), [ownVariables.find(([name]) => name === "PORT")?.[1]])
  })

  const build = (change: (text: string) => string) =>
    Effect.gen(function*() {
      const made = yield* directory
      const context = path.join(made, "context")
      fs.cpSync(starter, context, { recursive: true })
      for (const name of ["package.json", "package-lock.json", ".env"]) fs.writeFileSync(path.join(context, name), "{}")
      fs.writeFileSync(path.join(context, "Dockerfile"), change(read("Dockerfile")))
      const execute = (_: ReadonlyArray<string>, stage: string) => {
        fs.mkdirSync(path.join(stage, "node_modules"))
        return Promise.resolve()
      }
      const options = { context, directory: path.join(made, "image"), beside: [], execute }
      return yield* Effect.tryPromise({
        try: () => buildImage(readDockerfile(path.join(context, "Dockerfile")), options),
        catch: (error) => String(error)
      })
    })

  it.effect("copies what it starts, and nothing of the tests or of a developer's own", () =>
    Effect.gen(function*() {
      const { command, directory, user } = yield* build((text) => text)
      assert.deepStrictEqual([user, command], ["node", ["node", "src/main.ts"]])
      assert.deepStrictEqual(fs.readdirSync(directory).toSorted(), ["node_modules", "package.json", "src"])
      assert.isTrue(fs.existsSync(path.join(directory, command[1])))
    }).pipe(Effect.scoped))

  const wrong: ReadonlyArray<readonly [string, (text: string) => string, RegExp]> = [
    ["copies what is not there", (text) => text.replace("COPY src ./src", "COPY lib ./lib"), /\.dockerignore has lib/],
    ["copies a secret", (text) => text.replace("COPY src ./src", "COPY .env ./"), /\.dockerignore has \.env/],
    ["takes from a stage what it lacks", (text) => text.replace("/app/node_modules", "/app/lib"), /no such file/],
    [
      "starts a shell",
      (text) => text.replace(/CMD \["node", "src.*/, "CMD node src/main.ts"),
      /would keep the signals/
    ],
    ["runs as root", (text) => text.replace("USER node", "USER root"), /runs as root/],
    ["is watched by nobody", (text) => text.replace(/HEALTHCHECK[^]*?\n(?=#)/, ""), /how it is watched/],
    ["has another base", (text) => text.replaceAll("node:24-slim", "alpine"), /no image of Node/]
  ]
  it.effect.each(wrong)("would be refused where it %s", ([, change, problem]) =>
    Effect.gen(function*() {
      assert.match(yield* Effect.flip(build(change)), problem)
    }).pipe(Effect.scoped))
})
