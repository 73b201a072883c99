/**
 * What publint and "are the types wrong?" find in the packed package, on every public path. What is so by intention is named
 * here with its reason; anything else fails, and so does what is named here and found no more.
 */
import { checkPackage, createPackageFromTarballData } from "@arethetypeswrong/core"
import { publint } from "publint"
import { formatMessage } from "publint/utils"
import { SetupError } from "./run.mjs"

/** What they may find, and why. */
const allowed = new Map([
  [
    "NoResolution by node10",
    "the resolution of Node 10 reads no exports. That of effect itself finds nothing there either, and TypeScript 7 has it no more"
  ],
  [
    "CJSResolvesToESM by node16-cjs",
    "the package is ESM alone, so that its classes exist once: every Node that it is for loads it by require, too"
  ]
])

/** A finding by its kind, and what it is about. */
const ofPublint = ({ messages, pkg }) =>
  messages.map((message) => ({
    kind: `publint ${message.code}`,
    about: formatMessage(message, pkg, { color: false }) ?? message.path.join(".")
  }))

const ofTypes = ({ problems }) =>
  problems.map(({ kind, ...about }) => {
    const by = about.resolutionKind ?? about.resolutionOption
    return { kind: by === undefined ? kind : `${kind} by ${by}`, about: about.entrypoint ?? JSON.stringify(about) }
  })

/** What both find in a packed package. */
export const findingsOf = async (tarball, entrypoints) => {
  const bytes = new Uint8Array(tarball)
  const packed = createPackageFromTarballData(bytes)
  const checked = await checkPackage(packed, { entrypoints })
  if (checked.types === false) throw new SetupError("the package has no declarations")
  const looked = Object.keys(checked.entrypoints)
  if (looked.length !== entrypoints.length) throw new SetupError(`only ${looked.join(", ")} were looked at`)
  return [...ofPublint(await publint({ pack: { tarball: bytes.buffer }, strict: true })), ...ofTypes(checked)]
}

/** What of the findings may not be, and what is allowed and is not found. */
export const problemsOf = (findings, reasons = allowed) => {
  const unknown = Map.groupBy(findings.filter(({ kind }) => !reasons.has(kind)), ({ kind }) => kind)
  const gone = [...reasons.keys()].filter((kind) => !findings.some((finding) => finding.kind === kind))
  return [
    ...[...unknown].map(([kind, all]) => `${kind}: ${all.map(({ about }) => about).join(", ")}`),
    ...gone.map((kind) => `${kind} is allowed in packLint.mjs, and is not found any more`)
  ]
}

/** @param {Iterable<string>} specifiers what a consumer imports */
export const checkLint = async (tarball, specifiers) => {
  const entrypoints = [...specifiers].map((specifier) => specifier.replace(/^effect-nats/, "."))
  const problems = problemsOf(await findingsOf(tarball, entrypoints))
  if (problems.length > 0) throw new SetupError(`what others see in the package:\n  ${problems.join("\n  ")}`)
}
