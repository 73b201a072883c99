/** What users type of the bucket of a store. The modules of the stores have it. */
import type { BucketConfig } from "../../jetstream/KeyValue.ts"

/**
 * The bucket of a store. It is made as this says where there is none; what is left out is then the server's default, and is
 * not compared where there is one.
 *
 * @category options
 * @since 0.2.0
 */
export interface BucketOptions {
  /** Its name: `a-z`, `A-Z`, `0-9`, `-` and `_`. Several stores can have one bucket. */
  readonly bucket: string
  /** Default 1. */
  readonly replicas?: number | undefined
  /**
   * Default `"file"`. A bucket with `"memory"` and one replica is gone when its server restarts: operations fail then until the layer is
   * built again.
   */
  readonly storage?: "file" | "memory" | undefined
  /** The most that the bucket holds; then writes fail, and nothing goes. Default: no bound. */
  readonly maxBytes?: BucketConfig["maxBytes"]
  /** Default `false`. */
  readonly compression?: boolean | undefined
  readonly placement?: BucketConfig["placement"]
}
