/** The built site over HTTP on a free port of this machine, as a static host serves it. */
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"

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

/** Gives the address and a stop. */
export const serve = (directory, base = "/") =>
  new Promise((resolve, reject) => {
    const server = http.createServer((request, response) => {
      const { pathname } = new URL(request.url, "http://site")
      const found = pathname.startsWith(base)
        ? fileOf(directory, decodeURIComponent(pathname.slice(base.length)))
        : undefined
      const file = found ?? path.join(directory, "404.html")
      response.writeHead(found === undefined ? 404 : 200, {
        "content-type": types[path.extname(file)] ?? "application/octet-stream"
      })
      fs.createReadStream(file).pipe(response)
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
