/**
 * What of a release can be looked at by a program, before its tag is set: one version everywhere, a changelog that is closed,
 * a clean work tree. RELEASING.md has the rest.
 *
 *   node scripts/release.mjs [directory]
 */
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"

const numbersOf = (version) => version.split(/[.-]/).slice(0, 3).map(Number)
const isNewer = (a, b) => {
  const [one, other] = [numbersOf(a), numbersOf(b)]
  const at = one.findIndex((number, index) => number !== other[index])
  return at >= 0 && one[at] > other[at]
}

const minorOf = (version) => /\d+\.\d+/.exec(version)?.[0]

/** What is not as it has to be in the files of a checkout, as sentences. */
const fileProblems = (root) => {
  const read = (...names) => fs.readFileSync(path.join(root, ...names), "utf8")
  const manifest = JSON.parse(read("package.json"))
  const lock = JSON.parse(read("package-lock.json"))
  const { version } = manifest
  const problems = []
  const check = (holds, problem) => {
    if (!holds) problems.push(problem)
  }

  check(/^\d+\.\d+\.\d+(?:-[\w.]+)?$/.test(version), `package.json: ${version} is no version`)
  const coded = /version = "([^"]+)"/.exec(read("src", "internal", "wire", "version.ts"))?.[1]
  check(coded === version, `src/internal/wire/version.ts has ${coded}, and package.json ${version}`)

  const own = lock.packages[""]
  check(
    lock.version === version && own.version === version,
    `package-lock.json has ${own.version}, and package.json ${version}: npm install --package-lock-only`
  )
  for (
    const field of ["dependencies", "devDependencies", "peerDependencies", "peerDependenciesMeta", "engines", "bin"]
  ) {
    check(
      isDeepStrictEqual(own[field] ?? {}, withoutDots(manifest[field] ?? {})),
      `package-lock.json has other ${field} than package.json: npm install --package-lock-only`
    )
  }

  const headings = [...read("CHANGELOG.md").matchAll(/^## (.*)$/gm)].map((match) => match[1])
  const released = headings.filter((heading) => !/^unreleased/i.test(heading))
  check(released.length === headings.length, "CHANGELOG.md has changes of no version: Unreleased")
  check(
    released[0]?.split(" ")[0] === version,
    `CHANGELOG.md has ${released[0]} as its newest version, and package.json ${version}`
  )

  const series = minorOf(version)
  const supported = /^\| *(\d+\.\d+) *\|/m.exec(read("SECURITY.md"))?.[1]
  check(supported === series, `SECURITY.md supports ${supported}, and this is ${series}`)

  const newer = fs.readdirSync(path.join(root, "src"), { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .toSorted()
    .flatMap((name) =>
      [...read("src", name).matchAll(/@since (\d\S*)/g)]
        .filter(([, since]) => isNewer(since, version))
        .map(([text]) => `src/${name} (${text})`)
    )
  check(newer.length === 0, `package.json has ${version}, and newer exports are in ${newer.length} places: ${newer[0]}`)

  const built = /builtFor = "([^"]+)"/.exec(read("src", "persistence", "internal", "effectVersion.ts"))?.[1]
  const locked = lock.packages["node_modules/effect"]?.version
  for (
    const [where, found] of [["package-lock.json", locked], ["peerDependencies", manifest.peerDependencies.effect]]
  ) {
    check(
      minorOf(found ?? "") === built,
      `the stores are built for effect ${built}, and ${where} has ${found}`
    )
  }
  return problems
}

/** npm writes a path of `bin` without its `./`. */
const withoutDots = (field) =>
  Object.fromEntries(
    Object.entries(field).map(([name, value]) => [name, typeof value === "string" ? value.replace(/^\.\//, "") : value])
  )

const git = (root, ...args) => {
  const { status, stderr, stdout } = spawnSync("git", ["-C", root, ...args], { encoding: "utf8" })
  if (status !== 0) throw new Error(`git ${args[0]}: ${stderr?.trim()}`)
  return stdout.trimEnd()
}

/** What is not as it has to be in the repository: what is published is what the tag names. */
const repositoryProblems = (root, version) => {
  const changed = git(root, "status", "--porcelain").split("\n").filter((line) => line !== "")
  const tagged = git(root, "tag", "--list", `v${version}`) !== "" &&
    git(root, "rev-parse", `v${version}^{commit}`) !== git(root, "rev-parse", "HEAD")
  return [
    ...(changed.length > 0 ? [`not committed: ${changed.map((line) => line.slice(3)).join(", ")}`] : []),
    ...(tagged ? [`the tag v${version} is on another commit`] : [])
  ]
}

/** What has to be done before this checkout is released. */
export const releaseProblems = (root) => {
  const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
  return [...fileProblems(root), ...repositoryProblems(root, version)]
}

const main = (root) => {
  const problems = releaseProblems(root)
  for (const problem of problems) console.error(problem)
  console.log(problems.length === 0 ? "ready for its tag" : `${problems.length} things to do before a release`)
  if (problems.length > 0) process.exitCode = 1
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(path.resolve(process.argv[2] ?? path.join(path.dirname(fileURLToPath(import.meta.url)), "..")))
}
