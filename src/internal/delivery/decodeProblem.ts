import * as SchemaIssue from "effect/SchemaIssue"

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const renderPath = (path: ReadonlyArray<unknown>): string =>
  path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`
    return text === "" ? String(key) : `${text}.${String(key)}`
  }, "")

/** Where a value does not fit its schema, and what was expected there. Schema keeps the value itself out of it. */
export const describeIssue = (issue: SchemaIssue.Issue): { readonly path: string; readonly problem: string } => {
  const first = format(issue).issues[0]
  const path = (first.path ?? []).map((segment) => typeof segment === "object" ? segment.key : segment)
  return { path: renderPath(path), problem: first.message }
}
