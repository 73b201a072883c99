/** The built site over HTTP on a free port of this machine, as a static host serves it. */
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"
import { pipeline } from "node:stream"

const types = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2"
}

/** The file of an address: with clean addresses a page is a file with `.html`, and a folder's page its `index.html`. */
const fileOf = (directory, address) => {
  const file = path.join(directory, path.posix.normalize(`/${address}`))
  const candidates = file.endsWith(path.sep) ? [`${file}index.html`] : [file, `${file}.html`]
  return candidates.find((each) => fs.statSync(each, { throwIfNoEntry: false })?.isFile())
}

/** The path that is asked for below the base, or `undefined` where there is none, or none that a file can have. */
const addressOf = (url, base) => {
  try {
    const { pathname } = new URL(url, "http://site")
    const address = decodeURIComponent(pathname.slice(base.length))
    return pathname.startsWith(base) && !address.includes("\0") ? address : undefined
  } catch {
    return undefined
  }
}

/** Gives the address and a stop. */
export const serve = (directory, base = "/") =>
  new Promise((resolve, reject) => {
    const server = http.createServer((request, response) => {
      const address = addressOf(request.url, base)
      const found = address === undefined ? undefined : fileOf(directory, address)
      const file = found ?? path.join(directory, "404.html")
      response.writeHead(found === undefined ? 404 : 200, {
        "content-type": types[path.extname(file)] ?? "application/octet-stream"
      })
      // Whoever asked may leave, and a build that begins takes files away.
      pipeline(fs.createReadStream(file), response, () => {})
    })
    server.once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const stop = () =>
        new Promise((stopped) => {
          server.close(stopped)
          server.closeAllConnections()
        })
      resolve({ url: `http://127.0.0.1:${server.address().port}${base}`, stop })
    })
  })
