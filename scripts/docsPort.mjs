/**
 * Loaded before a program of a page. Port 4222 of this machine, which the pages say, is the port of a server that is started
 * for that program alone, and the ports that pages say to listen on are free ones. Nothing else of the program changes.
 */
import * as net from "node:net"

const port = Number(process.env.DOCS_SERVER_PORT)
const local = new Set(["127.0.0.1", "localhost", "::1"])
const listened = new Set([8080, 9464])
const { connect } = net.Socket.prototype
const { listen } = net.Server.prototype

net.Socket.prototype.connect = function(...args) {
  const [options] = Array.isArray(args[0]) ? args[0] : args
  if (typeof options === "object" && Number(options.port) === 4222 && local.has(options.host)) options.port = port
  return connect.apply(this, args)
}

net.Server.prototype.listen = function(...args) {
  if (listened.has(args[0]?.port)) args[0] = { ...args[0], port: 0 }
  return listen.apply(this, args)
}
