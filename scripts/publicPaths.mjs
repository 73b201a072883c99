/** The modules that are public paths: those of `src` and of its rooms, and each room's `index`. */
import * as fs from "node:fs"
import * as path from "node:path"
import { fileURLToPath } from "node:url"

const src = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..", "src")

/** Each by its file in `src` and `dist`, without its ending, and by what a consumer writes. */
export const publicPaths = fs.readdirSync(src, { recursive: true })
  .map((name) => name.split(path.sep).join("/"))
  .filter((name) => /^(?!internal\/)(?:\w+\/)?(?:[A-Z]\w*|index)\.ts$/.test(name))
  .map((name) => name.replace(/\.ts$/, ""))
  .map((file) => ({ file, specifier: path.posix.join("effect-nats", file.replace(/(^|\/)index$/, "")) }))

const isRoom = ({ file }) => path.basename(file) === "index"

/** Those that give a whole room. */
export const publicRooms = publicPaths.filter(isRoom)

/** Those of a single module. */
export const publicModules = publicPaths.filter((each) => !isRoom(each))
