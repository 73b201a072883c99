/**
 * What a take does to the state of a limit: pure functions from state and time to answer and state. The meaning of each is that
 * of effect's stores.
 */
import * as Duration from "effect/Duration"
import type {
  AdaptiveConsumeOptions,
  AdaptiveConsumeResult,
  AdaptiveFeedbackOptions,
  RateLimiterStore
} from "effect/persistence/RateLimiter"
import * as Schema from "effect/Schema"
import type { Held, Transition } from "./cells.ts"

type Options<Call extends keyof RateLimiterStore["Service"]> = Parameters<RateLimiterStore["Service"][Call]>[0]

/** More is for ever. */
const longestMillis = 2 ** 50

const after = (now: number, millis: number): number => now + (millis >= 1 ? Math.min(millis, longestMillis) : 1)

const belowOne = 1 - Number.EPSILON

// Fixed window

/** Tokens that were taken in the window, which ends when the state expires. */
export const FixedWindow = Schema.Struct({ count: Schema.Finite })
type FixedWindow = typeof FixedWindow.Type

export const takeFixed =
  ({ limit, refillRate, tokens }: Options<"fixedWindow">): Transition<FixedWindow, readonly [number, number]> =>
  (held, now) => {
    const count = (held?.state.count ?? 0) + tokens
    const endsAt = held?.expiresAt ?? now
    if (limit !== undefined && count > limit) return { answer: [count, endsAt - now] }
    const expiresAt = after(now, endsAt - now + Duration.toMillis(refillRate) * tokens)
    return { answer: [count, expiresAt - now], next: { state: { count }, expiresAt } }
  }

// Token bucket

/** A bucket that is not full. It is full when the state expires. */
export const TokenBucket = Schema.Struct({ tokens: Schema.Finite, lastRefill: Schema.Finite })
type TokenBucket = typeof TokenBucket.Type

export const takeFromBucket = (
  { allowOverflow, limit, refillRate, tokens }: Options<"tokenBucket">
): Transition<TokenBucket, readonly [number, number]> =>
(held, now) => {
  const refillMillis = Duration.toMillis(refillRate)
  let current = held?.state.tokens ?? limit
  let lastRefill = held?.state.lastRefill ?? now
  const refilled = Math.floor((now - lastRefill) / refillMillis)
  if (refilled > 0) {
    current = Math.min(limit, current + refilled)
    lastRefill += refilled * refillMillis
  }
  if (current >= limit) lastRefill = now
  const left = current - tokens
  // Never a whole interval, which would be a token: of large numbers the last digits are lost.
  const elapsed = Math.max(0, Math.min(now - lastRefill, refillMillis * belowOne))
  if (left < 0 && !allowOverflow) return { answer: [left, elapsed] }
  const expiresAt = after(now, Math.ceil(limit - left) * refillMillis - elapsed)
  return { answer: [left, elapsed], next: { state: { tokens: left, lastRefill }, expiresAt } }
}

// Adaptive

const graceMillis = 60_000
const longestWindowMillis = 60 * 60_000

/** What is known of a limit that a remote side answers with. */
export const Adaptive = Schema.Struct({
  phase: Schema.Literals(["cooldown", "learning", "learned"]),
  epoch: Schema.Finite,
  cooldownUntil: Schema.Finite,
  learningStartedAt: Schema.Finite,
  observedTokens: Schema.Finite,
  learnedLimit: Schema.Finite,
  learnedWindowMillis: Schema.Finite
})
type Adaptive = typeof Adaptive.Type

const cooldown = (epoch: number, cooldownUntil: number): Held<Adaptive> => ({
  state: {
    phase: "cooldown",
    epoch,
    cooldownUntil,
    learningStartedAt: 0,
    observedTokens: 0,
    learnedLimit: 0,
    learnedWindowMillis: 0
  },
  expiresAt: cooldownUntil + graceMillis
})

const answered = (
  delayMillis: number,
  epoch: number,
  phase: AdaptiveConsumeResult["phase"]
): AdaptiveConsumeResult => ({
  delay: delayMillis <= 0 ? Duration.zero : Duration.millis(delayMillis),
  epoch,
  phase
})

export const consumeAdaptive =
  ({ fallbackWindow, tokens }: AdaptiveConsumeOptions): Transition<Adaptive, AdaptiveConsumeResult> => (held, now) => {
    if (held === undefined) return { answer: answered(0, 0, "inactive") }
    const { expiresAt, state } = held
    switch (state.phase) {
      case "cooldown": {
        if (state.cooldownUntil > now) return { answer: answered(state.cooldownUntil - now, state.epoch, "cooldown") }
        const epoch = state.epoch + 1
        return {
          answer: answered(0, epoch, "learning"),
          next: {
            state: {
              phase: "learning",
              epoch,
              cooldownUntil: 0,
              learningStartedAt: now,
              observedTokens: tokens,
              learnedLimit: 0,
              learnedWindowMillis: 0
            },
            expiresAt: after(now, Duration.toMillis(fallbackWindow) + graceMillis)
          }
        }
      }
      case "learning":
        return {
          answer: answered(0, state.epoch, "learning"),
          next: { state: { ...state, observedTokens: state.observedTokens + tokens }, expiresAt }
        }
      case "learned": {
        const { learnedLimit, learnedWindowMillis } = state
        const refillMillis = learnedWindowMillis / learnedLimit
        const isOver = state.cooldownUntil <= now
        const observedTokens = (isOver ? 0 : state.observedTokens) + tokens
        const cooldownUntil = (isOver ? now : state.cooldownUntil) + refillMillis * tokens
        const elapsed = observedTokens * refillMillis - (cooldownUntil - now)
        const window = Math.floor((observedTokens - 1) / learnedLimit)
        return {
          answer: answered(window * learnedWindowMillis - elapsed, state.epoch, "learned"),
          next: { state: { ...state, observedTokens, cooldownUntil }, expiresAt }
        }
      }
    }
  }

const bounded = (millis: number): number => millis > 0 ? Math.min(millis, longestWindowMillis) : 1

/** Whether an answer of the remote side says anything of its limit. */
export const saysWait = ({ retryAfter, status }: AdaptiveFeedbackOptions): boolean =>
  status === 429 && retryAfter !== undefined

export const feedAdaptive =
  ({ epoch, retryAfter, tokens }: AdaptiveFeedbackOptions): Transition<Adaptive, void> => (held, now) => {
    const retryMillis = bounded(Duration.toMillis(retryAfter ?? Duration.zero))
    const cooldownUntil = now + retryMillis
    const nothing = { answer: undefined }
    if (held === undefined) return epoch === 0 ? { ...nothing, next: cooldown(0, cooldownUntil) } : nothing
    const { state } = held
    if (state.epoch !== epoch) return nothing
    switch (state.phase) {
      case "cooldown": {
        const until = Math.max(state.cooldownUntil, cooldownUntil)
        return { ...nothing, next: { state: { ...state, cooldownUntil: until }, expiresAt: until + graceMillis } }
      }
      case "learning": {
        const accepted = state.observedTokens - tokens
        if (accepted <= 0) return { ...nothing, next: cooldown(epoch, cooldownUntil) }
        const learnedWindowMillis = bounded(now - state.learningStartedAt + retryMillis)
        return {
          ...nothing,
          next: {
            state: {
              ...state,
              phase: "learned",
              epoch: epoch + 1,
              cooldownUntil: state.learningStartedAt + learnedWindowMillis,
              observedTokens: accepted,
              learnedLimit: accepted,
              learnedWindowMillis
            },
            expiresAt: now + learnedWindowMillis + graceMillis
          }
        }
      }
      case "learned":
        return { ...nothing, next: cooldown(epoch, cooldownUntil) }
    }
  }
