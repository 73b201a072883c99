/**
 * What the service takes and gives. Whoever calls it from TypeScript imports this file alone; whoever calls it from
 * elsewhere sends JSON to `starter.greet`.
 */
import { Schema } from "effect"
import { Rpc, RpcGroup } from "effect/rpc"

/** The name by which the service is found, and the first part of its subjects. */
export const name = "starter"

export class NameTooLong extends Schema.TaggedError<NameTooLong>()(
  "NameTooLong",
  { longest: Schema.Int },
  { natsServiceErrorCode: 422 }
) {
  override get message(): string {
    return `A name has ${this.longest} characters at most.`
  }
}

export const Contract = RpcGroup.make(
  Rpc.make("greet", {
    payload: { name: Schema.NonEmptyString },
    success: Schema.Struct({ text: Schema.String }),
    error: NameTooLong
  })
)
