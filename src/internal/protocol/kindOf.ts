/**
 * What a value is, in words that show nothing of it. For what programs without types give.
 */

const getter = (of: object, property: PropertyKey): (this: unknown) => unknown =>
  Object.getOwnPropertyDescriptor(of, property)!.get!

// The one of all typed arrays. It looks at what a value is made of, where `instanceof` believes its prototype, and gives
// `undefined` for what is none: also for a Proxy of one, which has no bytes that can be read.
const arrayName = getter(Object.getPrototypeOf(Uint8Array.prototype) as object, Symbol.toStringTag)

const lengthOf = getter(Object.getPrototypeOf(Uint8Array.prototype) as object, "length")

/** A property of its own or of a subclass can say another length than it has: more or fewer bytes would follow on the wire. */
const saysItsLength = (bytes: Uint8Array): boolean => {
  try {
    return bytes.length === lengthOf.call(bytes)
  } catch {
    return false
  }
}

/** Its bytes went with its buffer to another thread, or to whoever took it. */
const isDetached = (bytes: Uint8Array): boolean =>
  bytes.length === 0 && (bytes.buffer as { readonly detached?: boolean }).detached === true

/** Whether it is a `Uint8Array`: a `Buffer` and that of another realm, as of a `node:vm` context, are, too. */
export const isBytes = (value: unknown): value is Uint8Array =>
  arrayName.call(value) === "Uint8Array" && saysItsLength(value as Uint8Array) && !isDetached(value as Uint8Array)

/** Kinds by the tag that a value has: a closed list, since a tag can be any text. */
const tagged: Readonly<Record<string, string | undefined>> = {
  "[object Array]": "an array",
  "[object ArrayBuffer]": "an ArrayBuffer",
  "[object SharedArrayBuffer]": "a SharedArrayBuffer",
  "[object DataView]": "a DataView",
  "[object String]": "a String object",
  "[object Number]": "a Number object",
  "[object Boolean]": "a Boolean object",
  "[object Map]": "a Map",
  "[object Set]": "a Set",
  "[object Date]": "a Date",
  "[object Promise]": "a Promise",
  "[object Headers]": "a Headers object"
}

/** Such as `an array`, `null`, `a Uint16Array`. Never throws. */
export const kindOf = (value: unknown): string => {
  if (value === null || value === undefined) return String(value)
  if (typeof value !== "object") return `a ${typeof value}`
  const name = arrayName.call(value)
  if (typeof name === "string") {
    const kind = `${name.startsWith("I") ? "an" : "a"} ${name}`
    if (name !== "Uint8Array" || isBytes(value)) return kind
    return `${kind} ${
      saysItsLength(value as Uint8Array) ? "whose buffer was transferred" : "with a length that is not its own"
    }`
  }
  try {
    return tagged[Object.prototype.toString.call(value)] ?? "an object"
  } catch {
    return "an object that throws when it is looked at"
  }
}
