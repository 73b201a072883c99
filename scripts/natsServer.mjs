/**
 * The nats-server that the suite, the examples and the benchmarks use, in the project's own cache.
 *
 * Run by itself it prints the path of the server in use, and with a series (`node scripts/natsServer.mjs 2.9`) that of the
 * newest cached server of that series. How a server is found and fetched is that of `effect-nats server`.
 */
import * as path from "node:path"
import { fileURLToPath } from "node:url"
import { cachedServers } from "../src/cli/internal/server/caches.mjs"
import { fromDistribution } from "../src/cli/internal/server/distribution.mjs"
import * as servers from "../src/cli/internal/server/provideServer.mjs"
import { executable, matches } from "../src/cli/internal/server/versions.mjs"
import { SetupError, shown, tell } from "./run.mjs"

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..")
const cache = { directory: path.join(root, ".cache", "nats-server"), name: "the project's cache" }

/** What the suite is also run on. */
const olderSeries = ["2.9", "2.10"]

const cachedOf = (series) => cachedServers(cache).findLast(({ version }) => matches(version, series))

/** What can be found at once, without fetching anything. */
export const findServer = () => servers.findServer({ caches: [cache] })

export const provideServer = () => servers.provideServer({ caches: [cache], target: cache })

export const hasOlderServers = () => olderSeries.every((series) => cachedOf(series) !== undefined)

/** The older servers of the suite, into the project's cache. They come from Debian's archive only. */
export const provideOlderServers = async () => {
  for (const series of olderSeries.filter((each) => cachedOf(each) === undefined)) {
    const { server } = await fromDistribution(cache, series)
    if (server === undefined) {
      const place = path.join(cache.directory, `${series}.x`, executable)
      throw new SetupError(
        `nats-server ${series} could not be fetched. Put one at ${place} (with its full version), ` +
          "then run the command again."
      )
    }
    tell(`nats-server: ${server.version} from ${server.from}`)
  }
}

const main = async (series) => {
  const server = series === undefined ? await findServer() : cachedOf(series)
  if (server !== undefined) return console.log(server.path)
  throw new SetupError(`No nats-server ${series ?? ""} here yet; run: node scripts/setup.mjs --older`)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await main(process.argv[2]).catch((error) => {
    tell(shown(error))
    process.exitCode = 1
  })
}
