/**
 * The parts of a program that run on a connection until they are stopped: listeners, responders, services, rpc servers,
 * recorders, what handles a consumer. The client itself is one where its end is told.
 */
import type { PartName } from "../protocol/partName.ts"

export type { PartName } from "../protocol/partName.ts"

/** A part and how it does, for health. */
export interface Part extends PartName {
  /** Why it is not ready, for people. */
  trouble: string | undefined
}

export class Parts {
  private readonly parts = new Set<Part>()

  join(name: PartName): Part {
    const part: Part = { ...name, trouble: undefined }
    this.parts.add(part)
    return part
  }

  leave(part: Part): void {
    this.parts.delete(part)
  }

  /** Of the first part that is not ready. */
  get trouble(): string | undefined {
    for (const { trouble } of this.parts) if (trouble !== undefined) return trouble
    return undefined
  }
}
