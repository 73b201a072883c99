// @ts-check
/**
 * Reads the machine's own apt sources, so that no archive has to be named here.
 *
 * Both forms are understood: one-line (`deb [options] uri suite components`) and deb822 (`*.sources`).
 */
import * as fs from "node:fs"
import * as path from "node:path"

/**
 * @typedef {object} Source
 * @property {string} uri
 * @property {string} suite
 * @property {Array<string>} components
 * @property {string | undefined} signedBy a keyring path or an armoured key; none means the machine's trusted keys
 */

/** @type {(text: string) => Array<Source>} */
const parseOneLine = (text) =>
  text.split("\n").flatMap((line) => {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)/.exec(line)
    if (match === null) return []
    const [, options = "", uri, suite, components] = match
    const signedBy = /(?:^|\s)signed-by=(\S+)/i.exec(options)?.[1]
    return [{ uri, suite, components: components.trim().split(/\s+/), signedBy }]
  })

/** @type {(text: string) => Array<Source>} */
const parseDeb822 = (text) =>
  text.split(/\n[ \t]*\n/).flatMap((stanza) => {
    /** @type {Map<string, string>} */
    const fields = new Map()
    let last = ""
    for (const line of stanza.split("\n")) {
      if (line.startsWith("#")) continue
      const field = /^([A-Za-z-]+):[ \t]*(.*)$/.exec(line)
      if (field !== null) {
        last = field[1].toLowerCase()
        fields.set(last, field[2])
      } else if (/^[ \t]/.test(line) && last !== "") {
        fields.set(last, `${fields.get(last)}\n${line}`)
      }
    }
    /** @param {string} name */
    const words = (name) => (fields.get(name) ?? "").split(/\s+/).filter((word) => word !== "")
    if (!words("types").includes("deb") || words("enabled")[0]?.toLowerCase() === "no") return []
    const signedBy = fields.get("signed-by")
    return words("uris").flatMap((uri) =>
      words("suites").map((suite) => ({ uri, suite, components: words("components"), signedBy }))
    )
  })

/** @type {(etc: string) => Array<Source>} */
const readSources = (etc) => {
  const directory = path.join(etc, "sources.list.d")
  const parts = fs.existsSync(directory)
    ? fs.readdirSync(directory).toSorted().map((name) => path.join(directory, name))
    : []
  return [path.join(etc, "sources.list"), ...parts].flatMap((file) => {
    if (!fs.existsSync(file)) return []
    if (file.endsWith(".sources")) return parseDeb822(fs.readFileSync(file, "utf8"))
    return file.endsWith(".list") ? parseOneLine(fs.readFileSync(file, "utf8")) : []
  })
}

/** @param {string} file */
const readOsRelease = (file) => {
  /** @type {Map<string, string>} */
  const fields = new Map()
  if (!fs.existsSync(file)) return fields
  for (const line of fs.readFileSync(file, "utf8").split("\n")) {
    const match = /^([A-Z_]+)="?([^"]*)"?$/.exec(line)
    if (match !== null) fields.set(match[1], match[2])
  }
  return fields
}

/** Where nats-server lives, and in which suites to look for it, newest first. */
const distributions = {
  debian: { component: "main", suites: ["sid", "trixie"], aliases: ["stable", "oldstable", "testing", "unstable"] },
  ubuntu: { component: "universe", suites: ["devel"], aliases: ["devel"] }
}

/** @param {{ etc: string, osRelease: string }} places */
const readMachine = ({ etc, osRelease }) => {
  const release = readOsRelease(osRelease)
  const ids = new Set([release.get("ID"), ...(release.get("ID_LIKE") ?? "").split(" ")])
  /** @type {"debian" | "ubuntu" | undefined} */
  const id = ids.has("ubuntu") ? "ubuntu" : ids.has("debian") ? "debian" : undefined
  if (id === undefined) return undefined
  const { component, suites, aliases } = distributions[id]
  const codename = release.get("UBUNTU_CODENAME") ?? release.get("VERSION_CODENAME")
  const sources = readSources(etc).filter((source) => /^(https?|mirror|mirror\+\w+|file|copy):/.test(source.uri))
  const archives = sources.filter((source) =>
    source.components.includes(id === "ubuntu" ? "main" : component) &&
    [codename, ...suites, ...aliases].includes(source.suite)
  )
  return { id, archives, codename, component, sources, suites }
}

/** Where a machine has its apt sources, and where it says which distribution it is. */
const usualPlaces = { etc: "/etc/apt", osRelease: "/etc/os-release" }

/**
 * The distribution's archive as this machine uses it, or `undefined` where it has none.
 *
 * Third-party lists may carry the distribution's suite names too. They are told apart by their component, and what
 * still looks alike is tried in order: first archives that also serve `<suite>-updates`, which only a distribution does.
 *
 * @param {Partial<typeof usualPlaces>} [places]
 * @returns {{ id: "debian" | "ubuntu", archives: Array<Source>, component: string, suites: Array<string> } | undefined}
 */
export const findArchive = (places) => {
  const machine = readMachine({ ...usualPlaces, ...places })
  if (machine === undefined) return undefined
  const { archives, codename, component, id, sources, suites } = machine
  /** @param {Source} source */
  const servesUpdates = (source) =>
    sources.some((other) => other.uri === source.uri && other.suite === `${source.suite}-updates`)
  archives.sort((a, b) => Number(servesUpdates(b)) - Number(servesUpdates(a)))
  const unique = archives.filter((a, i) => archives.findIndex((b) => b.uri === a.uri) === i)
  if (unique.length === 0) return undefined
  return { id, archives: unique, component, suites: [...new Set([...suites, ...(codename ? [codename] : [])])] }
}

/**
 * What this machine's own packages come from: the suites of its release, with their updates and security updates.
 *
 * @param {Partial<typeof usualPlaces>} [places]
 * @returns {Array<Source>}
 */
export const releaseSources = (places) => {
  const { archives = [], codename, sources = [] } = readMachine({ ...usualPlaces, ...places }) ?? {}
  const own = archives.filter((source) => source.suite === codename)
  const suites = new Set((own.length > 0 ? own : archives).map((source) => source.suite))
  return sources.filter((source) => suites.has(source.suite.replace(/-(updates|security)$/, "")))
}

/**
 * One deb822 stanza for a suite of that archive.
 *
 * @type {(source: Source, suite: string, component: string) => string}
 */
export const toDeb822 = (source, suite, component) => {
  const lines = ["Types: deb", `URIs: ${source.uri}`, `Suites: ${suite}`, `Components: ${component}`]
  // An armoured key starts on the next line.
  if (source.signedBy !== undefined) lines.push(`Signed-By: ${source.signedBy}`.replace(": \n", ":\n"))
  return `${lines.join("\n")}\n`
}
