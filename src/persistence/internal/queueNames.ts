/**
 * The subjects of a queue store: `<prefix>.<kind>.<queue>.<id>`. Any text is the name of a queue and the id of an element:
 * each becomes one token, and no two the same one.
 */
import { sha256 } from "../../internal/identity/digest.ts"

/**
 * What is noted of an element, one message each at most: the element while it is to be done, the same while its delay lasts,
 * who is at it, that it is done, that it has failed for good.
 */
export type Kind = "q" | "w" | "c" | "d" | "f"

/** What is longer is a digest. With four of them a subject is far from what fits a protocol line. */
const longest = 100

const plain = /^[A-Za-z0-9_-]+$/

const escaped = (text: string): string =>
  text.replace(/[^A-Za-z0-9_-]/g, (unit) => `=${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** A token that is made of no other text. */
export const tokenOf = (text: string): string => {
  if (text.length <= longest && plain.test(text)) return text
  if (text === "") return "="
  const token = escaped(text)
  if (token.length <= longest) return token
  // By code unit, as texts with halves of surrogate pairs are different ones, too.
  const digest = sha256()
  digest.update(new TextEncoder().encode(token))
  return `==${digest.end().replaceAll("=", "")}`
}

/** A prefix of plain tokens stands as it is. */
const rootOf = (prefix: string): string =>
  prefix.length <= longest && prefix.split(".").every((token) => plain.test(token)) ? prefix : tokenOf(prefix)

export class QueueNames {
  readonly stream: string
  private readonly root: string

  constructor(prefix: string) {
    this.root = rootOf(prefix)
    this.stream = `QUEUE_${tokenOf(prefix)}`
  }

  /** All that the stream stores. */
  get all(): string {
    return `${this.root}.*.*.*`
  }

  /** All of a kind, of one queue or of all. */
  every(kind: Kind, queue = "*"): string {
    return `${this.root}.${kind}.${queue}.*`
  }

  subject(kind: Kind, queue: string, id: string): string {
    return `${this.root}.${kind}.${queue}.${id}`
  }

  /** As spans name it. */
  template(kind: Kind): string {
    return `${this.root}.${kind}.{queue}.{id}`
  }

  /** All that is noted of one element: the last message of it is its state. */
  ofElement(queue: string, id: string): string {
    return `${this.root}.*.${queue}.${id}`
  }

  /** What a subject is. Those of other stores are none. */
  read(subject: string): { readonly kind: string; readonly queue: string; readonly id: string } {
    const [kind = "", queue = "", id = ""] = subject.slice(this.root.length + 1).split(".")
    return { kind, queue, id }
  }
}
