/**
 * The subjects of a queue store: `<prefix>.<kind>.<queue>.<id>`. Any text is the name of a queue and the id of an element:
 * each becomes one token, and no two the same one.
 */
import { isPlain, longest, tokenOf } from "./textToken.ts"

/**
 * What is noted of an element, one message each at most: the element while it is to be done, the same while its delay lasts,
 * who is at it, that it is done, that it has failed for good.
 */
const kinds = ["q", "w", "c", "d", "f"] as const
export type Kind = (typeof kinds)[number]

/** A prefix of plain tokens stands as it is. */
const rootOf = (prefix: string): string =>
  prefix.length <= longest && prefix.split(".").every(isPlain) ? prefix : tokenOf(prefix)

export class QueueNames {
  readonly stream: string
  private readonly root: string

  constructor(prefix: string) {
    this.root = rootOf(prefix)
    this.stream = `QUEUE_${tokenOf(prefix)}`
  }

  /** All that the stream stores. */
  get all(): ReadonlyArray<string> {
    return kinds.map((kind) => this.every(kind))
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
