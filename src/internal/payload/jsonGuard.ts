/**
 * A quick yes for JSON that fits a schema as it is.
 *
 * Decoding builds every object anew, even where nothing changes. Where a schema has no transformation, default, class or
 * service, the value that `JSON.parse` made is already the decoded one, if it fits and has no key too many. A guard says
 * so. Its no means nothing: the real decoder decides then, and makes the errors.
 */
import * as SchemaAST from "effect/SchemaAST"

/** Whether decoding gives this very value. Only for what `JSON.parse` returned. */
export type Guard = (value: unknown) => boolean

interface Compiled {
  readonly guard: Guard
  /** What the decoder may accept besides literals, unchanged or read as something else. */
  readonly takes: ReadonlySet<Kind>
}

type Kind = "text" | "number" | "boolean" | "null" | "array" | "object" | "numberAsText" | "nullAsUndefined"

/** The guard of a schema's JSON, `undefined` where the real decoder must look at every value. */
export const compileGuard = (ast: SchemaAST.AST): Guard | undefined => compile(ast, new Map())?.guard

/** Recursive schemas that are being compiled. */
type Memo = Map<SchemaAST.AST, { guard: Guard | undefined }>

const compile = (ast: SchemaAST.AST, memo: Memo): Compiled | undefined => {
  if (ast.encoding !== undefined) return undefined
  const base = compileNode(ast, memo)
  if (base === undefined || ast.checks === undefined) return base
  const { guard } = base
  // The guard of numbers has this check already.
  const checks = ast.checks.flatMap(filtersOf).filter((filter) => ast._tag !== "Number" || !isFiniteCheck(filter))
  if (checks.length === 0) return base
  return {
    takes: base.takes,
    guard: (value) => guard(value) && pass(checks, value, ast)
  }
}

const pass = (checks: ReadonlyArray<SchemaAST.Filter<unknown>>, value: unknown, ast: SchemaAST.AST): boolean => {
  for (let i = 0; i < checks.length; i++) {
    if (checks[i].run(value, ast, noOptions) !== undefined) return false
  }
  return true
}

const isFiniteCheck = (filter: SchemaAST.Filter<unknown>): boolean =>
  filter.annotations?.representation?.id === "effect/schema/isFinite"

const noOptions: SchemaAST.ParseOptions = {}

const filtersOf = (check: SchemaAST.Check<unknown>): ReadonlyArray<SchemaAST.Filter<unknown>> =>
  check._tag === "Filter" ? [check] : check.checks.flatMap(filtersOf)

const compileNode = (ast: SchemaAST.AST, memo: Memo): Compiled | undefined => {
  switch (ast._tag) {
    case "String":
      return text
    case "Number":
      return number
    case "Boolean":
      return boolean
    case "Null":
      return nothing
    case "Undefined":
      return absent
    case "Literal":
      return compileLiteral(ast)
    case "Arrays":
      return compileArray(ast, memo)
    case "Objects":
      return ast.indexSignatures.length === 0 ? compileStruct(ast, memo) : compileRecord(ast, memo)
    case "Union":
      return compileUnion(ast, memo)
    case "Suspend":
      return compileSuspend(ast, memo)
    default:
      return undefined
  }
}

const text: Compiled = { guard: (value) => typeof value === "string", takes: new Set(["text"]) }

// The JSON codec of numbers reads "NaN", "Infinity" and "-Infinity", and JSON.parse makes an Infinity of 1e999.
const number: Compiled = {
  guard: (value) => typeof value === "number" && Number.isFinite(value),
  takes: new Set(["number", "numberAsText"])
}

const boolean: Compiled = { guard: (value) => typeof value === "boolean", takes: new Set(["boolean"]) }

const nothing: Compiled = { guard: (value) => value === null, takes: new Set(["null"]) }

// The JSON codec reads `null` as `undefined`, which is not the same value.
const absent: Compiled = { guard: () => false, takes: new Set(["nullAsUndefined"]) }

const compileLiteral = ({ literal }: SchemaAST.Literal): Compiled | undefined => {
  if (typeof literal === "bigint") return undefined
  return { guard: (value) => value === literal, takes: new Set() }
}

const compileArray = (ast: SchemaAST.Arrays, memo: Memo): Compiled | undefined => {
  if (ast.encodingChecks !== undefined || ast.elements.length > 0 || ast.rest.length !== 1) return undefined
  const item = compile(ast.rest[0], memo)
  if (item === undefined) return undefined
  const { guard } = item
  return {
    takes: new Set(["array"]),
    guard: (value) => {
      if (!Array.isArray(value)) return false
      for (let i = 0; i < value.length; i++) {
        if (!guard(value[i])) return false
      }
      return true
    }
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const compileStruct = (ast: SchemaAST.Objects, memo: Memo): Compiled | undefined => {
  if (ast.encodingChecks !== undefined || ast.propertySignatures.length === 0) return undefined
  const required: Array<readonly [string, Guard]> = []
  const optional: Array<readonly [string, Guard]> = []
  for (const { name, type } of ast.propertySignatures) {
    // The decoder sees inherited properties too.
    if (typeof name !== "string" || name in Object.prototype) return undefined
    const field = compile(type, memo)
    if (field === undefined) return undefined
    const to = type.context?.isOptional === true ? optional : required
    to.push([name, field.guard])
  }
  const requiredKeys = required.map(([name]) => name)
  const requiredGuards = required.map(([, guard]) => guard)
  const optionalKeys = optional.map(([name]) => name)
  const optionalGuards = optional.map(([, guard]) => guard)
  return {
    takes: new Set(["object"]),
    guard: (value) => {
      if (!isRecord(value)) return false
      for (let i = 0; i < requiredKeys.length; i++) {
        if (!requiredGuards[i](value[requiredKeys[i]])) return false
      }
      let keys = requiredKeys.length
      for (let i = 0; i < optionalKeys.length; i++) {
        const given = value[optionalKeys[i]]
        if (given === undefined) continue
        if (!optionalGuards[i](given)) return false
        keys++
      }
      for (const _ in value) keys--
      return keys === 0
    }
  }
}

const compileRecord = (ast: SchemaAST.Objects, memo: Memo): Compiled | undefined => {
  if (ast.encodingChecks !== undefined || ast.propertySignatures.length > 0) return undefined
  if (ast.indexSignatures.length !== 1) return undefined
  const { parameter, type } = ast.indexSignatures[0]
  if (parameter._tag !== "String" || parameter.encoding !== undefined || parameter.checks !== undefined) {
    return undefined
  }
  const item = compile(type, memo)
  if (item === undefined) return undefined
  const { guard } = item
  return {
    takes: new Set(["object"]),
    guard: (value) => {
      if (!isRecord(value)) return false
      for (const key in value) {
        if (!guard(value[key])) return false
      }
      return true
    }
  }
}

/**
 * The decoder takes the first member that accepts a value, and that member may change it: drop keys, or read `null` and
 * "NaN" as something else. So each kind of value may be taken by one member only, except where members take it unchanged.
 */
const compileUnion = (ast: SchemaAST.Union, memo: Memo): Compiled | undefined => {
  if (ast.encodingChecks !== undefined || ast.options?.mode === "oneOf" || ast.types.length === 0) return undefined
  const guards: Array<Guard> = []
  const takes = new Set<Kind>()
  const objects: Array<SchemaAST.AST> = []
  for (const type of ast.types) {
    const member = compile(type, memo)
    if (member === undefined) return undefined
    if (member.takes.has("array") && takes.has("array")) return undefined
    if (member.takes.has("object")) objects.push(type)
    for (const kind of member.takes) takes.add(kind)
    guards.push(member.guard)
  }
  const any: Guard = (value) => {
    for (let i = 0; i < guards.length; i++) {
      if (guards[i](value)) return true
    }
    return false
  }
  if (objects.length > 1 && !areToldApart(objects)) return undefined
  if (takes.has("numberAsText") && ["NaN", "Infinity", "-Infinity"].some(any)) return undefined
  if (takes.has("nullAsUndefined") && any(null)) return undefined
  return { guard: any, takes }
}

/** Whether structs have a required key with a literal of its own each, such as `_tag`. */
const areToldApart = (types: ReadonlyArray<SchemaAST.AST>): boolean => {
  const [first] = types
  if (!SchemaAST.isObjects(first)) return false
  return first.propertySignatures.some(({ name }) => {
    const literals = types.map((type) => literalAt(type, name))
    return !literals.includes(undefined) && new Set(literals).size === types.length
  })
}

const literalAt = (ast: SchemaAST.AST, name: PropertyKey): SchemaAST.LiteralValue | undefined => {
  if (!SchemaAST.isObjects(ast)) return undefined
  const type = ast.propertySignatures.find((property) => property.name === name)?.type
  if (type === undefined || !SchemaAST.isLiteral(type) || type.context?.isOptional === true) return undefined
  return type.literal
}

const compileSuspend = (ast: SchemaAST.Suspend, memo: Memo): Compiled | undefined => {
  const target = ast.thunk()
  if (!SchemaAST.isObjects(target)) return undefined
  const open = memo.get(target)
  if (open !== undefined) return { guard: (value) => open.guard?.(value) ?? false, takes: new Set(["object"]) }
  const slot: { guard: Guard | undefined } = { guard: undefined }
  memo.set(target, slot)
  const compiled = compile(target, memo)
  slot.guard = compiled?.guard
  memo.delete(target)
  return compiled
}
