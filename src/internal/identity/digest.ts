import { lazyCrypto } from "./lazyBuiltins.ts"

/** A SHA-256 that takes its bytes piece by piece, so that what is longer than memory has one, too. */
export interface Digest {
  update(bytes: Uint8Array): void
  /** Ends it. In base64 for URLs, padded. */
  end(): string
}

export const sha256 = (): Digest => {
  const hash = lazyCrypto().createHash("sha256")
  return {
    update: (bytes) => {
      hash.update(bytes)
    },
    end: () => hash.digest("base64").replaceAll("+", "-").replaceAll("/", "_")
  }
}
