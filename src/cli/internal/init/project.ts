/**
 * The files of a new project.
 */
import type { ProjectName } from "./naming.ts"
import { used, usedForTests } from "./packages.ts"
import type { Template } from "./template.ts"

/** What the template is called, which is the name of nothing else in it. */
const placeholder = /\bstarter\b/g

const manifestOf = ({ node, ranges, version }: Template, name: ProjectName): string => {
  const rangesOf = (names: ReadonlyArray<string>) => names.map((each) => [each, ranges[each]] as const)
  const sorted = (entries: ReadonlyArray<readonly [string, string]>) =>
    Object.fromEntries(entries.toSorted(([one], [other]) => one < other ? -1 : 1))
  const manifest = {
    name: name.package,
    version: "1.0.0",
    private: true,
    type: "module",
    scripts: {
      start: "node --env-file-if-exists=.env src/main.ts",
      dev: "node --watch --env-file-if-exists=.env src/main.ts",
      nats: "exec \"$(effect-nats server)\" --addr 127.0.0.1 --jetstream --store_dir .nats",
      types: "tsc",
      // Finds a nats-server for the tests, or fetches one into the user's cache.
      pretest: "effect-nats server",
      test: "vitest run"
    },
    dependencies: sorted([["effect-nats", `^${version}`], ...rangesOf(used)]),
    devDependencies: sorted(rangesOf(usedForTests)),
    engines: { node }
  }
  return `${JSON.stringify(manifest, undefined, 2)}\n`
}

/** The texts by their paths, with slashes, in the order of these. */
export const projectFiles = (template: Template, name: ProjectName): ReadonlyMap<string, string> => {
  const files = Object.entries(template.files).map(([file, text]) =>
    [file, text.replace(placeholder, name.service)] as const
  )
  return new Map(
    [...files, ["package.json", manifestOf(template, name)] as const].toSorted(([one], [other]) => one < other ? -1 : 1)
  )
}
