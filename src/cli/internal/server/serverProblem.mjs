// @ts-check
/**
 * Why there is no server to use. A message is one sentence or two; where there are several things to do, each is a remedy.
 *
 * - `BadRequest`: what was asked for makes no sense: a version, an address, a digest.
 * - `Unusable`: what `NATS_SERVER` names is no server that can be used.
 * - `NotFound`: the machine has none of the wanted version, and nothing here gives one.
 * - `DownloadFailed`: an address did not give its file.
 * - `DigestMismatch`: it gave another file than the digest says.
 * - `NotAServer`: the file is the right one, and holds no server of the wanted version that runs on this machine.
 * - `CacheUnusable`: the cache cannot be written.
 *
 * @typedef {"BadRequest" | "Unusable" | "NotFound" | "DownloadFailed" | "DigestMismatch" | "NotAServer" |
 *   "CacheUnusable"} Reason
 */

/** Nothing of a failed attempt is kept. */
export class ServerProblem extends Error {
  /**
   * @param {Reason} reason
   * @param {string} message
   * @param {ReadonlyArray<string>} [remedies]
   */
  constructor(reason, message, remedies = []) {
    super(message)
    this.name = "ServerProblem"
    /** @readonly */
    this.reason = reason
    /** @readonly */
    this.remedies = remedies
  }
}
