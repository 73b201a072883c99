/** What the forge runs and asks for: the workflow and the templates below `.github`. */
import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { parse } from "yaml"

const root = path.resolve(import.meta.dirname, "..")
const read = (...names: ReadonlyArray<string>): string => fs.readFileSync(path.join(root, ...names), "utf8")
const manifest = JSON.parse(read("package.json"))

interface Step {
  readonly uses?: string
  readonly run?: string
  readonly if?: string
  readonly with?: Readonly<Record<string, unknown>>
  readonly env?: unknown
  readonly "continue-on-error"?: unknown
}

interface Job {
  readonly "runs-on": string
  readonly "timeout-minutes"?: number
  readonly container: { readonly image: string; readonly options: string }
  readonly permissions?: unknown
  readonly env?: unknown
  readonly if?: string
  readonly "continue-on-error"?: unknown
  readonly steps: ReadonlyArray<Step>
}

interface Workflow {
  readonly on: Readonly<Record<string, unknown>>
  readonly permissions: unknown
  readonly env?: unknown
  readonly concurrency: { readonly group: string; readonly "cancel-in-progress": string }
  readonly jobs: Readonly<Record<string, Job>>
}

describe(".github/workflows/ci.yml", () => {
  const text = read(".github", "workflows", "ci.yml")
  const workflow: Workflow = parse(text)
  const jobs = Object.values(workflow.jobs)
  const steps = jobs.flatMap((job) => job.steps)
  const using = (action: string): ReadonlyArray<Step> => steps.filter(({ uses }) => uses?.startsWith(`${action}@`))

  it("is the only one", () => {
    assert.deepStrictEqual(fs.readdirSync(path.join(root, ".github", "workflows")), ["ci.yml"])
  })

  it("runs .ci/run, whole, and nothing else decides", () => {
    assert.deepStrictEqual(steps.flatMap(({ run }) => run ?? []), ["bash .ci/run"])
    const decides = steps.find(({ run }) => run !== undefined)!
    assert.deepStrictEqual(Object.keys(decides), ["run"])
    for (const each of [...jobs, ...steps]) assert.isUndefined(each["continue-on-error"])
    for (const job of jobs) assert.isUndefined(job.if)
  })

  it("looks at main, at every pull request, and when somebody asks", () => {
    assert.sameMembers(Object.keys(workflow.on), ["push", "pull_request", "workflow_dispatch"])
    assert.deepStrictEqual(workflow.on.push, { branches: ["main"] })
    assert.isNull(workflow.on.pull_request)
  })

  it("ends by itself, and gives a pull request's place to its next commit", () => {
    for (const job of jobs) assert.isAtMost(job["timeout-minutes"] ?? Infinity, 120)
    assert.include(workflow.concurrency.group, "github.ref")
    assert.strictEqual(workflow.concurrency["cancel-in-progress"], "${{ github.event_name == 'pull_request' }}")
  })

  it("may read the repository and nothing more, and keeps no token", () => {
    assert.deepStrictEqual(workflow.permissions, { contents: "read" })
    for (const job of jobs) assert.isUndefined(job.permissions)
    assert.lengthOf(using("actions/checkout"), 1)
    for (const step of using("actions/checkout")) assert.strictEqual(step.with?.["persist-credentials"], false)
    assert.notMatch(text, /\bsecrets\b|github\.token|pull_request_target|workflow_run/)
  })

  it("puts nothing that a stranger writes into a command or its environment", () => {
    for (const { run = "" } of steps) assert.notInclude(run, "${{")
    for (const each of [workflow, ...jobs, ...steps]) assert.isUndefined(each.env)
    const expressions = [...text.matchAll(/\$\{\{(.*?)\}\}/g)].map(([, inside]) => inside)
    assert.isAbove(expressions.length, 0)
    for (const each of expressions) assert.notMatch(each, /github\.(?:event\.|head_ref)/)
  })

  it("has actions of the forge itself, each by its commit, with the version beside it", () => {
    const uses = text.split("\n").filter((line) => /\buses:/.test(line))
    assert.lengthOf(uses, steps.filter((step) => step.uses !== undefined).length)
    for (const line of uses) assert.match(line, /uses: actions\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/)
  })

  it("has a Node that the package is for, on a Debian whose archive has the older servers", () => {
    for (const { container } of jobs) {
      const [, major, suite] = /^node:(\d+)-(\w+)$/.exec(container.image) ?? []
      const [, oldest] = /^>=(\d+)\.\d+\.\d+$/.exec(manifest.engines.node) ?? []
      assert.isAbove(Number(major), Number(oldest))
      assert.strictEqual(major, /\d+/.exec(manifest.devDependencies.node)?.[0])
      assert.include(["bookworm", "trixie"], suite)
    }
  })

  it("keeps what was fetched by what says which it is, and the reports of a run that failed", () => {
    const kept = using("actions/cache").map((step) => step.with)
    assert.deepStrictEqual(kept.map((each) => each?.path), ["~/.npm", ".cache/nats-server", ".cache/chromium"])
    for (const name of kept.flatMap((each) => [...String(each?.key).matchAll(/'([^'*]+)'/g)].map(([, file]) => file))) {
      assert.isTrue(fs.existsSync(path.join(root, name)), name)
    }
    const [upload, ...others] = using("actions/upload-artifact")
    assert.deepStrictEqual(others, [])
    assert.strictEqual(upload.if, "failure()")
    const [, reports] = /^reports=(.+)$/m.exec(read(".ci", "run")) ?? []
    assert.deepStrictEqual(String(upload.with?.path).trim().split("\n"), [reports, ".cache/screenshots"])
    assert.strictEqual(upload.with?.["include-hidden-files"], true, "what is below .cache is left out")
  })
})

interface Field {
  readonly type: string
  readonly id?: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly validations?: { readonly required?: boolean }
}

interface Form {
  readonly name: string
  readonly description: string
  readonly body: ReadonlyArray<Field>
}

describe(".github/ISSUE_TEMPLATE", () => {
  const directory = path.join(root, ".github", "ISSUE_TEMPLATE")
  const forms = new Map<string, Form>(
    fs.readdirSync(directory).filter((name) => name !== "config.yml")
      .map((name) => [name, parse(read(".github", "ISSUE_TEMPLATE", name))])
  )

  it("has forms that the forge can show", () => {
    assert.sameMembers([...forms.keys()], ["bug.yml", "feature.yml"])
    for (const [file, { body, description, name }] of forms) {
      for (const text of [name, description]) assert.isAbove(text.length, 10, file)
      const fields = body.filter(({ type }) => type !== "markdown")
      const ids = fields.map(({ id }) => id)
      assert.lengthOf([...new Set(ids)], fields.length, file)
      for (const { attributes, id, type } of fields) {
        assert.match(id ?? "", /^[a-z]+$/, file)
        assert.include(["input", "textarea"], type)
        assert.isString(attributes.label, `${file}: ${id}`)
      }
      assert.isTrue(fields.some(({ validations }) => validations?.required), file)
    }
  })

  it("asks of a fault what is needed to see it again", () => {
    const { body } = forms.get("bug.yml")!
    const asked = body.filter(({ validations }) => validations?.required).map(({ id }) => id)
    assert.sameMembers(asked, ["what", "program", "version", "runtime", "server"])
    const text = JSON.stringify(body)
    assert.include(text, "nats-server --version")
    assert.include(text, "npx effect-nats check --json")
    assert.include(read("docs", "cli.md"), "npx effect-nats check")
  })

  it("sends who found a vulnerability to SECURITY.md, before anything is asked", () => {
    const [first] = forms.get("bug.yml")!.body
    assert.include(String(first.attributes.value), "SECURITY.md")
    assert.include(read("SECURITY.md"), "## How to report")
    // A blank issue would be asked nothing.
    assert.strictEqual(parse(read(".github", "ISSUE_TEMPLATE", "config.yml")).blank_issues_enabled, false)
  })
})
