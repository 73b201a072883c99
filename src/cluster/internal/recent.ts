/** A set that forgets what was added first where it has too many. */
export interface Recent<A> {
  readonly has: (value: A) => boolean
  readonly add: (value: A) => void
}

export const makeRecent = <A>(most: number): Recent<A> => {
  const known = new Set<A>()
  return {
    has: (value) => known.has(value),
    add: (value) => {
      const [oldest] = known
      if (known.size >= most && oldest !== undefined) known.delete(oldest)
      known.add(value)
    }
  }
}
