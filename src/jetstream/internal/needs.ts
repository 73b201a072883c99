/**
 * Which server version has which field of a definition: an older one ignores what it does not know without a word. By versions,
 * since levels (`level.ts`) begin with 2.11.
 */
import type { Api } from "./api.ts"

/** Whether one version, as `"2.10.27"`, is older than another, as `"2.11"`. `false` where it is not known. */
export const isBefore = (version: string | undefined, needed: string): boolean => {
  const [major, minor] = numbersOf(version)
  const [neededMajor, neededMinor] = numbersOf(needed)
  if (major === undefined || minor === undefined) return false
  return major < neededMajor || (major === neededMajor && minor < neededMinor)
}

const numbersOf = (version: string | undefined): ReadonlyArray<number> =>
  /^v?(\d+)\.(\d+)/.exec(version ?? "")?.slice(1).map(Number) ?? []

/** Of the server at hand. Not known where the API is that of another domain or account: its servers may be others. */
export const versionOf = (api: Api): string | undefined => api.isElsewhere ? undefined : api.connection.info?.version
