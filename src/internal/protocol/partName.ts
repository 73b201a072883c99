/**
 * The parts of a program that run in the background, and how they are called where people read of them.
 */
import { quoted } from "./shown.ts"

/** What a part is, and the subject or name that it goes by. */
export interface PartName {
  readonly kind:
    | "client"
    | "listener"
    | "responder"
    | "service"
    | "rpcServer"
    | "recorder"
    | "consumer"
    | "store"
  readonly name: string
}

export const wordsFor = ({ kind }: PartName): string => kind === "rpcServer" ? "rpc server" : kind

export const describePart = (part: PartName): string => `the ${wordsFor(part)} ${quoted(part.name)}`
