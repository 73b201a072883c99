/**
 * The log of a child process as lines, with waiting for a line that matches.
 */
export class LogLines {
  readonly lines: Array<string> = []
  private rest = ""
  private readonly watchers = new Set<(line: string) => void>()

  feed(text: string): void {
    const parts = (this.rest + text).split("\n")
    this.rest = parts.pop() ?? ""
    for (const line of parts) {
      this.push(line)
    }
  }

  /** The process has ended: what is left is a line. */
  flush(): void {
    if (this.rest !== "") {
      const line = this.rest
      this.rest = ""
      this.push(line)
    }
  }

  /** Calls `onLine` for each line from now on, until the returned function is called. */
  watch(onLine: (line: string) => void): () => void {
    this.watchers.add(onLine)
    return () => {
      this.watchers.delete(onLine)
    }
  }

  private push(line: string): void {
    this.lines.push(line)
    // A copy: who was told may watch again at once, for the lines that come after this one.
    Array.from(this.watchers).forEach((watcher) => watcher(line))
  }
}

export const matches = (pattern: string | RegExp, line: string): boolean =>
  typeof pattern === "string" ? line.includes(pattern) : line.search(pattern) >= 0
