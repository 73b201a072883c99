/**
 * The keys that a schema names, apart from those that a sender chooses.
 */
import type * as SchemaAST from "effect/SchemaAST"

export const noNames: ReadonlySet<PropertyKey> = new Set()

const known = new WeakMap<SchemaAST.AST, ReadonlySet<PropertyKey>>()

/** Of all that the schema consists of, decoded and encoded: what is in here is a word of the schema, wherever it stands. */
export const namesIn = (schema: SchemaAST.AST): ReadonlySet<PropertyKey> => {
  let names = known.get(schema)
  if (names === undefined) known.set(schema, names = collect(schema))
  return names
}

const collect = (schema: SchemaAST.AST): ReadonlySet<PropertyKey> => {
  const names = new Set<PropertyKey>()
  const seen = new Set<SchemaAST.AST>()
  const left = [schema]
  for (let ast = left.pop(); ast !== undefined; ast = left.pop()) {
    if (seen.has(ast)) continue
    seen.add(ast)
    if (ast.encoding !== undefined) left.push(...ast.encoding.map(({ to }) => to))
    switch (ast._tag) {
      case "Declaration":
        left.push(...ast.typeParameters)
        break
      case "Arrays":
        left.push(...ast.elements, ...ast.rest)
        break
      case "Objects":
        for (const { name, type } of ast.propertySignatures) {
          names.add(typeof name === "number" ? String(name) : name)
          left.push(type)
        }
        left.push(...ast.indexSignatures.map(({ type }) => type))
        break
      case "Union":
        left.push(...ast.types)
        break
      case "Suspend":
        left.push(ast.thunk())
        break
    }
  }
  return names
}
