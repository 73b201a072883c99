/** What stands between a checkout and its tag, on a copy of what a release has. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { releaseProblems } from "../scripts/release.mjs"

const root = path.resolve(import.meta.dirname, "..")
const versionFile = path.join("src", "internal", "wire", "version.ts")
const effectFile = path.join("src", "persistence", "internal", "effectVersion.ts")

const copied = ["package.json", "package-lock.json", "CHANGELOG.md", "SECURITY.md", versionFile, effectFile]

type Edit = (file: string, change: (text: string) => string) => void

interface Copy {
  readonly directory: string
  readonly edit: Edit
  readonly git: (...args: ReadonlyArray<string>) => void
}

/** No settings of who runs the test, and no repository that it stands in. */
const environment = {
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("GIT_"))),
  GIT_CONFIG_GLOBAL: os.devNull,
  GIT_CONFIG_NOSYSTEM: "1"
}

/** A copy that is ready to be released as 9.8.7, changed, committed, and looked at. */
const problems = (change: (copy: Copy) => void, afterwards: (copy: Copy) => void = () => {}): ReadonlyArray<string> => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "effect-nats-release-"))
  const git: Copy["git"] = (...args) => {
    const identity = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    const { status, stderr } = spawnSync("git", ["-C", directory, ...identity, ...args], {
      encoding: "utf8",
      env: environment
    })
    assert.strictEqual(status, 0, stderr)
  }
  const edit: Edit = (file, change) => {
    const before = fs.readFileSync(path.join(directory, file), "utf8")
    const after = change(before)
    assert.notStrictEqual(after, before, `nothing is changed in ${file}`)
    fs.writeFileSync(path.join(directory, file), after)
  }
  try {
    for (const file of copied) {
      fs.mkdirSync(path.dirname(path.join(directory, file)), { recursive: true })
      fs.copyFileSync(path.join(root, file), path.join(directory, file))
    }
    fs.writeFileSync(
      path.join(directory, "src", "New.ts"),
      "/** @since 9.8.7 */\nexport const a = 1\n/** @since 9.8.6 */"
    )
    const { version } = JSON.parse(fs.readFileSync(path.join(root, "package.json"), "utf8"))
    const released = (text: string): string => text.replace(`"${version}"`, `"9.8.7"`)
    edit("package.json", released)
    edit("package-lock.json", (text) => released(released(text)))
    edit(versionFile, released)
    edit("CHANGELOG.md", (text) => `# Changelog\n\n## 9.8.7\n\n${text.replace(/^## Unreleased/m, "## 9.8.6")}`)
    edit("SECURITY.md", (text) => text.replace(/^\| \d+\.\d+ /m, "| 9.8 "))
    change({ directory, edit, git })
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "9.8.7")
    afterwards({ directory, edit, git })
    return releaseProblems(directory)
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

const tells = (found: ReadonlyArray<string>, ...expected: ReadonlyArray<RegExp>): void => {
  assert.lengthOf(found, expected.length, found.join("\n"))
  for (const [index, each] of expected.entries()) assert.match(found[index], each)
}

describe("a release", () => {
  it("is ready where all of it is", () => {
    tells(problems(() => {}))
    tells(problems(() => {}, ({ git }) => git("tag", "v9.8.7")))
  })

  it("has one version, in the package, the code, the lock file, the changelog and the supported versions", () => {
    tells(
      problems(({ edit }) => edit("package.json", (text) => text.replace("9.8.7", "9.9.0"))),
      /version\.ts has 9\.8\.7, and package\.json 9\.9\.0/,
      /package-lock\.json has 9\.8\.7/,
      /CHANGELOG\.md has 9\.8\.7 as its newest version/,
      /SECURITY\.md supports 9\.8, and this is 9\.9/
    )
    tells(
      problems(({ edit }) => edit(versionFile, (text) => text.replace("9.8.7", "9.8.6"))),
      /version\.ts has 9\.8\.6/
    )
  })

  it("has no changes of no version, wherever they stand", () => {
    const unreleased = "## Unreleased\n\n- a change\n\n"
    for (const place of ["## 9.8.7", "## 0.1.0"]) {
      tells(
        problems(({ edit }) => edit("CHANGELOG.md", (text) => text.replace(place, `${unreleased}${place}`))),
        /changes of no version: Unreleased/
      )
    }
  })

  it("has no export that is newer than itself, by numbers and not by letters", () => {
    const since = (version: string) => ({ directory }: Copy): void =>
      fs.writeFileSync(path.join(directory, "src", "Newer.ts"), `/** @since ${version} */\nexport const b = 1\n`)
    tells(problems(since("9.10.0")), /newer exports are in 1 places: src\/Newer\.ts \(@since 9\.10\.0\)/)
    tells(problems(since("9.8.7")))
    tells(problems(since("8.10.0")))
  })

  it("has the lock file of its package.json", () => {
    tells(
      problems(({ edit }) => edit("package.json", (text) => text.replace(`"yaml": "`, `"yaml": "~`))),
      /package-lock\.json has other devDependencies/
    )
  })

  it("is for one minor of effect", () => {
    tells(
      problems(({ edit }) => edit(effectFile, (text) => text.replace(/builtFor = "4\.\d+"/, `builtFor = "4.0"`))),
      /built for effect 4\.0, and package-lock\.json has 4\./,
      /built for effect 4\.0, and peerDependencies has \^4\./
    )
  })

  it("is what is committed, at its tag", () => {
    const change = ({ edit }: Copy): void => edit("SECURITY.md", (text) => `${text}\n`)
    const add = ({ directory }: Copy): void => fs.writeFileSync(path.join(directory, "more.md"), "")
    tells(problems(() => {}, change), /not committed: SECURITY\.md/)
    tells(problems(() => {}, add), /not committed: more\.md/)
    tells(
      problems(() => {}, ({ git }) => {
        git("tag", "v9.8.7")
        git("commit", "--quiet", "--allow-empty", "-m", "more")
      }),
      /the tag v9\.8\.7 is on another commit/
    )
  })
})
