/** One set-up at a time per project, across processes. */
import * as fs from "node:fs"
import * as path from "node:path"
import { stopChildren, tell } from "./run.mjs"

const heartbeat = 2_000
const deadAfter = 20_000

const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis))

const tryTake = (file, token) => {
  try {
    fs.writeFileSync(file, token, { flag: "wx" })
    return true
  } catch (error) {
    if (error.code !== "EEXIST") throw error
    return false
  }
}

/** A lock whose holder has not touched it for a while belongs to nobody. Only one waiter wins the rename. */
const dropDead = (file, token) => {
  try {
    if (Date.now() - fs.statSync(file).mtimeMs < deadAfter) return
    const dead = `${file}.${token}`
    fs.renameSync(file, dead)
    fs.rmSync(dead)
  } catch (error) {
    if (error.code !== "ENOENT") throw error
  }
}

export const withLock = async (file, use) => {
  const token = `${process.pid}-${Date.now()}`
  fs.mkdirSync(path.dirname(file), { recursive: true })
  let told = false
  while (!tryTake(file, token)) {
    if (!told) tell("set-up: waiting for another run of it to end")
    told = true
    await pause(200)
    dropDead(file, token)
  }
  const beat = setInterval(() => {
    const now = new Date()
    fs.utimes(file, now, now, () => {})
  }, heartbeat)
  const release = () => {
    clearInterval(beat)
    fs.rmSync(file, { force: true })
  }
  const onSignal = (signal) => {
    stopChildren()
    release()
    process.exit(signal === "SIGINT" ? 130 : 143)
  }
  process.once("SIGINT", onSignal)
  process.once("SIGTERM", onSignal)
  try {
    return await use()
  } finally {
    release()
    process.off("SIGINT", onSignal)
    process.off("SIGTERM", onSignal)
  }
}
