/**
 * What the client logs while a command runs, on stderr, in one line each.
 */
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Output from "./output.ts"

const make = (showsInfo: boolean): Layer.Layer<never> =>
  Logger.layer([
    Logger.make(({ logLevel, message }) => {
      const isInfo = logLevel === "Info"
      if (isInfo ? !showsInfo : logLevel !== "Warn" && logLevel !== "Error" && logLevel !== "Fatal") return
      const text = (Array.isArray(message) ? message : [message]).map(String).join(" ")
      const label = isInfo
        ? Output.styled("good", "note", process.stderr)
        : Output.styled("warn", "warning", process.stderr)
      process.stderr.write(`${label}: ${Output.shown(text)}\n`)
    })
  ])

/** Warnings. */
export const warnings: Layer.Layer<never> = make(false)

/** Warnings, and that a connection is back: for commands that live through its loss. */
export const news: Layer.Layer<never> = make(true)
