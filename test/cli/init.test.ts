/** `effect-nats init`, as a process of its own. What it makes is installed, tested and run by `npm run init:check`. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { type CommandOptions, type Finished, run } from "../fixtures/command.ts"
import { directory } from "../fixtures/directory.ts"

const root = path.resolve(import.meta.dirname, "..", "..")
const starter = path.join(root, "examples", "starter")

/** The files of a directory and below it, by their paths with slashes, and their texts. */
const read = (directory: string): Readonly<Record<string, string>> =>
  Object.fromEntries(
    fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted()
      .filter((name) => fs.statSync(path.join(directory, name)).isFile())
      .map((name) => [name.split(path.sep).join("/"), fs.readFileSync(path.join(directory, name), "utf8")])
  )

const template = read(starter)
const fileNames = [...Object.keys(template), "package.json"].toSorted()

/** Everything in a directory, so that nothing half can hide in it. */
const all = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync(directory, { recursive: true, encoding: "utf8" }).toSorted()

const init = (cwd: string, args: ReadonlyArray<string>, options: CommandOptions = {}): Effect.Effect<Finished> =>
  run(["init", ...args], { cwd, ...options })

/** A variable that runs a program in the command first, in which `fs` and `calls` are there. */
const prelude = (program: string): CommandOptions => {
  const text = `const [fs, module, net] = ["node:fs", "node:module", "node:net"].map(process.getBuiltinModule); ` +
    `let calls = 0; ${program}; module.syncBuiltinESMExports()`
  return { env: { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(text)}` } }
}

/** A call of `fs` that fails as it does on a full disk, when it is made for the nth time. */
const failing = (name: string, nth: number): CommandOptions =>
  prelude(
    `const before = fs.${name}; fs.${name} = (...args) => { if (++calls === ${nth}) ` +
      `throw Object.assign(new Error("full"), { code: "ENOSPC", syscall: "write" }); return before(...args) }`
  )

describe("effect-nats init", () => {
  it.live("makes the project of examples/starter under the name that it is given", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const { code, stderr, stdout } = yield* init(cwd, ["orders"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepStrictEqual(fs.readdirSync(cwd), ["orders"])
      const made = read(path.join(cwd, "orders"))
      assert.deepStrictEqual(Object.keys(made), fileNames)
      for (const [name, text] of Object.entries(template)) {
        assert.strictEqual(made[name], text.replaceAll("starter", "orders"), name)
      }
      assert.include(made["src/contract.ts"], `export const name = "orders"\n`)
      assert.match(stdout, /^Made the service orders in orders: \d+ files\. Next:\n\n {2}cd orders\n {2}npm install\n/)
      assert.include(stdout, `\n  npx effect-nats request orders.greet '{"name":"Ada"}'\n`)
    }).pipe(Effect.scoped))

  it.live("has the versions that this package is built and tested with, and no other package", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      yield* init(cwd, ["orders"])
      const own = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
      const { dependencies, devDependencies, engines, name, type } = JSON.parse(
        fs.readFileSync(path.join(cwd, "orders", "package.json"), "utf8")
      )
      assert.deepStrictEqual([name, type, engines], ["orders", "module", own.engines])
      const { peerDependencies: peers, devDependencies: tested } = own
      assert.deepStrictEqual(dependencies, {
        "@effect/platform-node": peers["@effect/platform-node"],
        effect: peers.effect,
        "effect-nats": `^${own.version}`
      })
      const names = ["@effect/vitest", "@types/node", "typescript", "vitest"]
      assert.deepStrictEqual(devDependencies, Object.fromEntries(names.map((each) => [each, tested[each]])))
      // A package of what it imports would be missing after `npm ci`, and one of the tests in production.
      const imported = (files: RegExp) =>
        new Set(
          Object.entries(template).filter(([file]) => files.test(file)).flatMap(([, text]) =>
            [...text.matchAll(/ from "((?:@[^/"]+\/)?[^/".]+)/g)].map(([, name]) => name)
          ).filter((name) => !name.startsWith("node:"))
        )
      assert.deepStrictEqual([...imported(/^src\//)].toSorted(), Object.keys(dependencies))
      assert.includeMembers(Object.keys({ ...dependencies, ...devDependencies }), [...imported(/^test\//)])
    }).pipe(Effect.scoped))

  it.live("gives programs one document, and a failure in the form of all commands", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const { code, stderr, stdout } = yield* init(cwd, ["@acme/orders", "--json"])
      assert.deepStrictEqual([code, stderr], [0, ""])
      const { directory: made, files, name, next, service } = JSON.parse(stdout)
      assert.deepStrictEqual([name, service, made], [
        "@acme/orders",
        "orders",
        path.join(fs.realpathSync(cwd), "orders")
      ])
      assert.deepStrictEqual(files, fileNames)
      assert.includeMembers(next, ["cd orders", "npm install", "npm test", "npm start"])
      assert.include(fs.readFileSync(path.join(cwd, "orders", "package.json"), "utf8"), `"name": "@acme/orders"`)
      const again = yield* init(cwd, ["orders", "--json"])
      const { error, exitCode } = JSON.parse(again.stdout)
      assert.deepStrictEqual([again.code, exitCode, error.tag, error.class], [1, 1, "DirectoryNotEmpty", "other"])
    }).pipe(Effect.scoped))

  it.live("asks nobody, and reads no configuration of a connection", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const { env } = prelude(`net.Socket.prototype.connect = () => process.exit(99)`)
      const wrong = { NATS_URL: "no address", NATS_CREDS_FILE: "/nowhere", NATS_CONTEXT: "none" }
      const { code, stderr } = yield* init(cwd, ["orders"], { env: { ...env, ...wrong } })
      assert.deepStrictEqual([code, stderr], [0, ""])
    }).pipe(Effect.scoped))
})

describe("NAME", () => {
  it.live.each(["a", "0", "orders-2", "my_service", "con-fig", "o".repeat(214)])(
    "can be %j",
    (name) =>
      Effect.gen(function*() {
        const cwd = yield* directory
        const { code, stderr } = yield* init(cwd, [name])
        assert.deepStrictEqual([code, stderr], [0, ""])
        assert.deepStrictEqual(fs.readdirSync(cwd), [name])
        assert.strictEqual(JSON.parse(fs.readFileSync(path.join(cwd, name, "package.json"), "utf8")).name, name)
      }).pipe(Effect.scoped)
  )

  const wrong: ReadonlyArray<readonly [name: string, problem: string]> = [
    ["../x", "NAME is a name and no path: --directory says where the project is made. Did you mean \"x\"?"],
    ["/tmp/orders", "Did you mean \"orders\"?"],
    ["a\\orders", "Did you mean \"orders\"?"],
    ["a/b/c", "no path"],
    [".", "no path"],
    ["..", "A name is, for example, \"orders\"."],
    ["", "NAME is empty. A name is, for example, \"orders\"."],
    ["My Orders", "begins with a small letter or a digit, and has those, \"_\" and \"-\" only"],
    ["My Orders", "Did you mean \"my-orders\"?"],
    ["OrderService", "Did you mean \"order-service\"?"],
    ["orders.eu", "Did you mean \"orders-eu\"?"],
    ["-orders", "Did you mean \"orders\"?"],
    ["_orders", "A name is, for example, \"orders\"."],
    ["größe", "A name is, for example, \"orders\"."],
    ["orders\u001b[31m", "A name is, for example, \"orders\"."],
    ["$(touch x)", "A name is, for example, \"orders\"."],
    ["o".repeat(215), "NAME has 215 characters, and npm takes 214 at most."],
    ["o".repeat(100_000), "NAME has 100000 characters"],
    ["@acme", "begins with a small letter"],
    ["@acme/", "no path"],
    ["@Acme/orders", "The scope in NAME begins with a small letter"],
    ["@acme/Orders", "begins with a small letter"],
    ["@../orders", "The scope in NAME begins"],
    ["node_modules", "A name is, for example, \"orders\"."],
    ["events", "is that of a module of Node or of a package that the project needs. Did you mean \"events-service\"?"],
    ["effect", "Did you mean \"effect-service\"?"],
    ["vitest", "Did you mean \"vitest-service\"?"],
    ["effect-nats", "Did you mean \"effect-nats-service\"?"]
  ]
  it.live.each(wrong)("cannot be %j, and nothing is made", ([name, problem]) =>
    Effect.gen(function*() {
      const cwd = yield* directory
      fs.mkdirSync(path.join(cwd, "here"))
      const { code, stderr, stdout } = yield* init(path.join(cwd, "here"), ["--", name])
      assert.deepStrictEqual([code, stdout], [2, ""])
      assert.match(stderr, /^UsageError: /)
      assert.include(stderr, problem)
      assert.isBelow(stderr.length, 400)
      assert.notInclude(stderr, "\u001b[31mG")
      assert.deepStrictEqual(all(cwd), ["here"])
    }).pipe(Effect.scoped))

  it.live("that is a secret in the wrong place is not repeated", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      for (const secret of ["Kq7-Zr%w-9t&Yb+Xm=4Lh", "SUAKYRHVIOREXV7EUZTBHUHL7NUMHPMAS7QMDU3GTIUWEI5LDNOXD43IZY"]) {
        const { code, stderr, stdout } = yield* init(cwd, [secret])
        assert.strictEqual(code, 2)
        assert.notInclude((stdout + stderr).toLowerCase(), secret.slice(2, 8).toLowerCase())
      }
    }).pipe(Effect.scoped))
})

describe("the directory", () => {
  it.live("can be any other one, which is made with those above it", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const { code, stdout } = yield* init(cwd, ["orders", "--directory", "our services/it's"])
      assert.strictEqual(code, 0)
      assert.include(stdout, `cd 'our services/it'\\''s'\n`)
      assert.deepStrictEqual(Object.keys(read(path.join(cwd, "our services", "it's"))), fileNames)
      const dashed = yield* init(cwd, ["orders", "--directory=-x"])
      assert.include(dashed.stdout, "cd ./-x\n")
      const empty = yield* init(cwd, ["orders", "--directory", ""])
      assert.deepStrictEqual([empty.code, fs.readdirSync(cwd)], [2, ["-x", "our services"]])
    }).pipe(Effect.scoped))

  it.live("can be there, and be the one where the command runs, while it is empty", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const { ino } = fs.statSync(cwd)
      const { code, stdout } = yield* init(cwd, ["orders", "--directory", "."])
      assert.strictEqual(code, 0)
      assert.notInclude(stdout, "cd ")
      assert.deepStrictEqual(Object.keys(read(cwd)), fileNames)
      // A shell stands in it.
      assert.strictEqual(fs.statSync(cwd).ino, ino)
    }).pipe(Effect.scoped))

  it.live("that is there can be the only place that may be written to", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      fs.mkdirSync(path.join(cwd, "empty"))
      const closed = prelude(
        `const before = fs.mkdtempSync; fs.mkdtempSync = (prefix) => { if (/empty.[^/]*$/.test(prefix)) return ` +
          `before(prefix); throw Object.assign(new Error("closed"), { code: "EACCES", syscall: "mkdtemp" }) }`
      )
      const { code, stderr } = yield* init(cwd, ["orders", "--directory", "empty"], closed)
      assert.deepStrictEqual([code, stderr], [0, ""])
      assert.deepStrictEqual(Object.keys(read(path.join(cwd, "empty"))), fileNames)
    }).pipe(Effect.scoped))

  it.live("is left as it is where something is in it, is a file, or is a link", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      fs.mkdirSync(path.join(cwd, "full"))
      fs.writeFileSync(path.join(cwd, "full", ".hidden"), "mine")
      fs.writeFileSync(path.join(cwd, "file"), "mine")
      fs.mkdirSync(path.join(cwd, "target"))
      fs.symlinkSync("target", path.join(cwd, "link"))
      fs.symlinkSync("nowhere", path.join(cwd, "dangling"))
      const before = all(cwd)
      for (
        const [name, problem] of [
          ["full", "DirectoryNotEmpty: …/full is there and not empty, and was left as it is: give another place"],
          ["file", "DirectoryUnusable: The project cannot be made in …/file: there is a file of this name."],
          ["link", "DirectoryUnusable: The project cannot be made in …/link: there is a file of this name."],
          ["dangling", "DirectoryUnusable: The project cannot be made in …/dangling: there is a file of this name."]
        ]
      ) {
        const { code, stderr, stdout } = yield* init(cwd, [name])
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.include(stderr.replaceAll(fs.realpathSync(cwd), "…"), problem)
        assert.deepStrictEqual(all(cwd), before)
      }
      assert.strictEqual(fs.readFileSync(path.join(cwd, "full", ".hidden"), "utf8"), "mine")
      assert.strictEqual(fs.readFileSync(path.join(cwd, "file"), "utf8"), "mine")
    }).pipe(Effect.scoped))

  it.live("that cannot be made is a failure with what the system said", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      fs.writeFileSync(path.join(cwd, "file"), "mine")
      const places: Array<readonly [string, RegExp]> = [
        ["file/orders", /: (?:lstat|mkdir) gives ENOTDIR\. Give a place that you may write to/],
        ["n".repeat(300), /: \w+ gives ENAMETOOLONG\. /]
      ]
      // Nobody makes a directory there, root neither.
      if (fs.existsSync("/proc/self")) places.push(["/proc/orders", /in \/proc\/orders: \w+ gives \w+\. /])
      fs.mkdirSync(path.join(cwd, "closed"), { mode: 0o555 })
      if (process.getuid?.() !== 0) places.push(["closed/orders", /: \w+ gives EACCES\. /])
      for (const [place, problem] of places) {
        const { code, stderr, stdout } = yield* init(cwd, ["orders", "--directory", place])
        assert.deepStrictEqual([code, stdout], [1, ""])
        assert.match(stderr, /^DirectoryUnusable: The project cannot be made in /)
        assert.match(stderr, problem)
      }
      assert.deepStrictEqual(all(cwd), ["closed", "file"])
    }).pipe(Effect.scoped))

  it.live("has nothing of a project that could not be finished, whichever step failed", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      fs.mkdirSync(path.join(cwd, "empty"))
      const steps: Array<readonly [string, number]> = [["writeFileSync", 1], ["writeFileSync", fileNames.length]]
      for (const [call, nth] of [...steps, ["mkdtempSync", 1], ["renameSync", 1], ["rmSync", 1]] as const) {
        for (const place of ["orders", "new/and/deep", "empty"]) {
          const { code, stderr } = yield* init(cwd, ["orders", "--directory", place], failing(call, nth))
          assert.strictEqual(code, 1, `${call} ${nth} ${place}`)
          assert.include(stderr, "write gives ENOSPC", `${call} ${nth} ${place}`)
          assert.deepStrictEqual(all(cwd), ["empty"], `${call} ${nth} ${place}`)
        }
      }
      // The last of several that are put in place.
      const last = yield* init(cwd, ["orders", "--directory", "empty"], failing("renameSync", 5))
      assert.deepStrictEqual([last.code, all(cwd)], [1, ["empty"]])
    }).pipe(Effect.scoped))

  it.live("has the whole project when a signal comes while it is written", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const signalled = prelude(
        `const before = fs.writeFileSync; ` +
          `fs.writeFileSync = (...args) => { if (++calls === 3) process.kill(process.pid, "SIGINT"); before(...args) }`
      )
      const { code, stdout } = yield* init(cwd, ["orders"], signalled)
      assert.strictEqual(code, 0)
      assert.include(stdout, "README.md has the rest.")
      assert.deepStrictEqual([fs.readdirSync(cwd), Object.keys(read(cwd))], [
        ["orders"],
        fileNames.map((name) => `orders/${name}`)
      ])
    }).pipe(Effect.scoped))

  it.live("is left to another one that was faster", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const outrun = prelude(
        `const before = fs.mkdtempSync; fs.mkdtempSync = (...args) => { ` +
          `fs.mkdirSync("orders"); fs.writeFileSync("orders/theirs", "theirs"); return before(...args) }`
      )
      const { code, stderr } = yield* init(cwd, ["orders"], outrun)
      assert.strictEqual(code, 1)
      assert.match(stderr, /^DirectoryNotEmpty: /)
      assert.deepStrictEqual(all(cwd), ["orders", "orders/theirs"])
    }).pipe(Effect.scoped))

  it.live("is that of one command where several make it at once", () =>
    Effect.gen(function*() {
      const cwd = yield* directory
      const finished = yield* Effect.all(Array.from({ length: 4 }, () => init(cwd, ["orders"])), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(finished.map(({ code }) => code).toSorted(), [0, 1, 1, 1])
      for (const { code, stderr } of finished) if (code === 1) assert.match(stderr, /^DirectoryNotEmpty: /)
      assert.deepStrictEqual([fs.readdirSync(cwd), Object.keys(read(cwd)).length], [["orders"], fileNames.length])
    }).pipe(Effect.scoped))
})
