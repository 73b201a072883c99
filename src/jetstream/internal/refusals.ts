/** By `err_code`: what has a tag of its own where streams and consumers are managed. */
import {
  ConsumerNotFound,
  ConsumerRefused,
  type JetStreamApiError,
  ResourcesExceeded,
  StreamNotFound,
  StreamRefused,
  StreamSealed,
  SubjectsOverlap
} from "../JetStreamError.ts"
import type { ErrorTable } from "./api.ts"

type ErrorIn<T> = T extends ErrorTable<infer E> ? E : never

/** What several tables have. */
export const joined = <const T extends ReadonlyArray<ErrorTable<unknown>>>(
  ...tables: T
): ErrorTable<ErrorIn<T[number]>> => Object.assign({}, ...tables)

export const table = <E>(codes: ReadonlyArray<number>, of: (error: JetStreamApiError) => E): ErrorTable<E> =>
  Object.fromEntries(codes.map((code) => [code, of]))

const range = (first: number, last: number): ReadonlyArray<number> =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index)

export const noStream = (stream: string): ErrorTable<StreamNotFound> =>
  table([10059], () => new StreamNotFound({ stream }))

export const noConsumer = (stream: string, consumer: string): ErrorTable<StreamNotFound | ConsumerNotFound> =>
  joined(noStream(stream), table([10014, 10149], () => new ConsumerNotFound({ stream, consumer })))

/** The account, consumers, resources of the cluster, streams, memory, storage, limits of the account and its tiers. */
export const exceeded: ErrorTable<ResourcesExceeded> = table(
  [10002, 10005, 10023, 10026, 10027, 10028, 10047, 10113, 10120, 10122],
  ({ description, errCode }) => new ResourcesExceeded({ errCode, description })
)

export const sealedStream = (stream: string): ErrorTable<StreamSealed> =>
  table([10109], () => new StreamSealed({ stream }))

export const overlapping = (stream: string, subjects: ReadonlyArray<string>): ErrorTable<SubjectsOverlap> =>
  table([10065], () => new SubjectsOverlap({ stream, subjects }))

/**
 * Configurations of streams: of mirrors and sources, of subjects, limits, placement, transforms, and 10052 for nearly
 * everything.
 */
const ofStreams: ReadonlyArray<number> = [
  10011,
  10021,
  10022,
  10024,
  10029,
  10030,
  10031,
  10032,
  10033,
  10034,
  10036,
  10045,
  10046,
  10048,
  10049,
  10052,
  10053,

  10055,
  10056,
  10061,
  10069,
  10074,
  10096,
  10123,
  10124,
  10128,
  10133,
  10143,
  10150,
  10151,
  10152,
  10154,
  10155,
  10156,
  ...range(10140, 10142),
  ...range(10144, 10147),
  10157,
  10173,
  10186,
  10187,
  10198,
  10209,
  10213,
  10214,
  10215,
  10216,
  10217,
  10226
]

export const refusedStream = (stream: string): ErrorTable<StreamRefused> =>
  table(ofStreams, ({ description, errCode }) => new StreamRefused({ stream, errCode, description }))

/** Configurations of consumers, and 10012 for nearly every change. */
const ofConsumers: ReadonlyArray<number> = [
  10012,
  10013,
  10016,
  10017,
  10018,
  10019,
  10020,
  10052,
  10074,
  10078,
  10104,
  10105,
  10106,
  10107,
  10108,
  ...range(10079, 10095),
  ...range(10098, 10103),
  10112,
  10114,
  10115,
  10116,
  10121,
  10125,
  10126,
  10127,
  ...range(10131, 10139),
  10153,
  10157,
  10159,
  10160,
  10161,
  10162,
  10178,
  ...range(10181, 10184),
  10196,
  10197,
  10204,
  10218,
  10219,
  10220,
  10221,
  10222,
  10225
]

export const refusedConsumer = (stream: string, consumer: string): ErrorTable<ConsumerRefused> =>
  table(ofConsumers, ({ description, errCode }) => new ConsumerRefused({ stream, consumer, errCode, description }))
