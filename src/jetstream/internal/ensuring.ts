/**
 * Streams and buckets that are taken where they are as they were declared, and made only where there is none: who may not make
 * streams can use what somebody else has made. Nothing that is there is changed.
 */
import * as Effect from "effect/Effect"
import { BucketExists, type CreateBucketError, type CreateStreamError, StreamExists } from "../JetStreamError.ts"
import type { Api } from "./api.ts"
import { differing } from "./diff.ts"
import { streamInfoOf } from "./infos.ts"
import type { BucketConfig, BucketStatus } from "./kvBucketTypes.ts"
import { bucketDefinition, statusOf } from "./kvConfig.ts"
import { create, look, supported, writing } from "./streams.ts"
import type { StreamDefinition, StreamInfo } from "./streamTypes.ts"

/** One request where there is one. Fails with `StreamExists` where that differs in what is declared. */
export const ensureStream = Effect.fnUntraced(
  function*(api: Api, definition: StreamDefinition): Effect.fn.Return<StreamInfo, CreateStreamError> {
    const of = yield* writing(definition)
    const there = yield* look(api, of.name)
    if (there === undefined) {
      // Another one can make it meanwhile. Where theirs differs in what is not declared, it is what is declared.
      return yield* Effect.catchTag(
        create(api, definition),
        "StreamExists",
        (exists) => exists.differences.length === 0 ? ensureStream(api, definition) : Effect.fail(exists)
      )
    }
    const differences = differing(there.config, of)
    if (differences.length === 0) return streamInfoOf(api, there.answer, there.config)
    yield* supported(api, of, there.config)
    return yield* new StreamExists({ stream: of.name, differences })
  }
)

/** The same of a bucket: `BucketExists`. */
export const ensureBucket = (
  api: Api,
  bucket: string,
  config: BucketConfig
): Effect.Effect<BucketStatus, CreateBucketError> =>
  Effect.flatMap(bucketDefinition(bucket, config), (definition) => ensureStream(api, definition)).pipe(
    Effect.catchTag(
      "StreamExists",
      ({ differences }) => Effect.fail(new BucketExists({ bucket, differences: [...differences] }))
    ),
    Effect.map(statusOf)
  )
