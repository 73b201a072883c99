// @ts-check
/** apt with directories of its own: it reads the machine's keys and proxies, and needs no root. */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * Makes those directories, and gives the options with which apt-get and apt-cache write nothing outside `directory`.
 *
 * @param {string} directory
 * @param {string} sources in deb822's form
 * @param {string} [status] the packages that count as installed, in the form of dpkg
 */
export const ownApt = (directory, sources, status = "") => {
  /** @type {(...names: Array<string>) => string} */
  const at = (...names) => path.join(directory, ...names)
  for (const name of ["parts", "preferences", "state/lists/partial", "cache/archives/partial"]) {
    fs.mkdirSync(at(name), { recursive: true })
  }
  fs.writeFileSync(at("parts", "archive.sources"), sources)
  fs.writeFileSync(at("state", "status"), status)
  return [
    "Dir::Etc::sourcelist=/dev/null",
    `Dir::Etc::sourceparts=${at("parts")}`,
    "Dir::Etc::preferences=/dev/null",
    `Dir::Etc::preferencesparts=${at("preferences")}`,
    `Dir::State=${at("state")}`,
    `Dir::State::status=${at("state", "status")}`,
    `Dir::Cache=${at("cache")}`,
    "Dir::Log=/dev/null",
    "Acquire::Languages=none",
    "Acquire::Retries=2",
    "Acquire::http::Timeout=30",
    "Acquire::https::Timeout=30",
    "APT::Sandbox::User=root"
  ].flatMap((option) => ["-o", option])
}
