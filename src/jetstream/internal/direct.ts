/**
 * Which streams can be read directly (`allow_direct`), by the last configuration that was seen: a server says nothing at all
 * to who may not, so that no failure tells.
 */
import type { Api } from "./api.ts"
import type { WireObject } from "./exactJson.ts"

/** No replica of it answers just now. */
export const away = { errCode: 10118, description: "stream is offline" }

const directs = new WeakMap<Api, Map<string, boolean>>()

/** So many streams are remembered. */
const most = 1024

/** Notes what an answer says of a stream. */
export const noteDirect = (api: Api, { allow_direct, name }: WireObject): void => {
  // Consumers have no such field, and names that they may share with streams.
  if (typeof name !== "string" || typeof allow_direct !== "boolean") return
  const known = directs.get(api) ?? new Map<string, boolean>()
  if (known.size >= most) known.clear()
  directs.set(api, known.set(name, allow_direct))
}

/** `undefined` where it has to be asked. */
export const knownDirect = (api: Api, stream: string): boolean | undefined => directs.get(api)?.get(stream)

export const forgetDirect = (api: Api, stream: string): void => {
  directs.get(api)?.delete(stream)
}
