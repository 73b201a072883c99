/**
 * What is said of keys that this configuration does not have and others do: nats.js, nats.go, nats.py, NestJS, Panini, the
 * context files of the `nats` tool, and the server's own configuration.
 */
import { keysOf, type SectionName } from "./keys.ts"

/** A key without its case and what joins its words, in which clients differ. */
export const normal = (key: string): string => key.slice(0, 64).toLowerCase().replace(/[^a-z0-9]/g, "")

type Hints = ReadonlyMap<string, string>

/** Words, apart by blanks, that mean the same. */
const hints = (...lines: ReadonlyArray<readonly [words: string, hint: string]>): Hints =>
  new Map(lines.flatMap(([words, hint]) => words.split(" ").map((word) => [word, hint] as const)))

const none = (why: string): string => `there is none, ${why}`

const status = "use the `status` stream of the client"
const anew = "give `auth` as an Effect, in code: it is run before every dial"
const credsFile = "use `auth: { _tag: \"CredsFile\", path }`"
const verified = "the server is always verified; what turns that off is `tls.dangerouslyDisableVerification`"
const wanted = "use `tls.mode`: \"require\""
const onServer = none("it is of a server's configuration, and this is a client's")
const onTool = none("it is of the `nats` tool")

const root = hints(
  // Where
  ["url urls uri uris server host hostname port address", "use `servers`, such as \"nats://127.0.0.1:4222\""],
  ["norandomize dontrandomize", "use `randomizeServers: false`"],
  ["ignoreclusterupdates ignorediscoveredservers", "use `discoverServers: false`"],
  ["resolve skiphostlookup", none("names are looked up anew at every dial")],
  ["socksproxy proxy", none("as a server is dialled straight")],
  ["dialer customdialer inprocessserver wsfactory", none("as sockets are Node's")],
  ["headers wsheaders websocketconnectionheaders websocketconnectionheadershandler", "use `webSocket.headers`"],
  ["proxypath path", "write it into the URL of `servers`"],
  ["compression", none("as messages are sent as they are")],
  // Who
  ["servicename clientname clientnatsname connectionname", "use `name`"],
  ["description", none("what the server shows for this client is `name`")],
  ["user username pass password userinfo", "use `auth: { user, password }`"],
  ["token authtoken", "use `auth: { token }`"],
  ["creds credentials usercreds usercredentials credsfile credspath", credsFile],
  ["nsc", `${none("`nsc generate creds` writes a file")}: ${credsFile}`],
  [
    "nkey nkeyseed seed nkeysseedstr",
    "use `auth: { _tag: \"NKey\", seed }`; for a file `{ _tag: \"CredsFile\", path }`"
  ],
  ["nkeysseed", credsFile],
  ["jwt userjwt userseed", "use `auth: { _tag: \"Jwt\", jwt, seed }`"],
  ["authenticator userjwtcb signaturecb noncesigner tokenhandler", anew],
  // How the wire is protected
  ["secure tlsrequired", wanted],
  ["tlsconfig tlscertcb rootcascb rootcas rootca clientcert", "use `tls`"],
  ["ca", "use `tls.caFile` for a path, `tls.ca` for PEM text"],
  ["cert", "use `tls.certFile` for a path, `tls.cert` for PEM text"],
  ["key", "use `tls.keyFile` for a path, `tls.key` for PEM text"],
  ["tlsfirst tlshandshakefirst", "use `tls.handshakeFirst`"],
  ["tlshostname", "use `tls.serverName`"],
  ["rejectunauthorized insecure tlsinsecure skipverify", verified],
  [
    "windowscertstore windowscertmatchby windowscertmatch windowscacertsmatch",
    none("as certificates come from files: use `tls.certFile` and `tls.keyFile`")
  ],
  // Times
  ["timeout connectiontimeout", "use `connectTimeout`"],
  ["flushertimeout flushtimeout writedeadline", none("a flush ends with the connection, or with `Effect.timeout`")],
  ["gracefulshutdown graceperiod", "use `drainTimeout`"],
  ["maxpingsout maxoutstandingpings", "use `maxPingOut`"],
  // When it is lost
  ["allowreconnect", "use `reconnect`"],
  ["maxreconnect maxreconnects maxreconnectattempts reconnectattempts", "use `reconnect.maxAttempts`"],
  ["reconnecttimewait reconnectwait reconnectingtimewait reconnectingtimesleep", "use `reconnect.initialDelay`"],
  ["reconnectjittertls", "use `reconnect.jitter`"],
  [
    "reconnectdelayhandler customreconnectdelaycb reconnecttoserver reconnecttoservercb",
    none("the delays are those of `reconnect`")
  ],
  ["waitonfirstconnect retryonfailedconnect", "use `reconnect.onFirstConnect`: \"wait\""],
  ["ignoreautherrorabort", "use `reconnect.refusalTimeout`: \"forever\""],
  ["reconnectbufsize pendingsize", "use `whileDisconnected: { buffer }`, a number of messages"],
  // What it tells
  ["verbose pedantic", none("as every operation tells its own failure")],
  ["debug trace", none("every dial is logged at level Debug: see `logStatus`")],
  [
    "connectedcb disconnectedcb disconnectederrcb reconnectedcb reconnecterrcb discoveredserverscb discoveredservercb " +
    "asyncerrorcb errorcb lameduckmodehandler",
    status
  ],
  ["closedcb", "use `closed` of the client"],
  ["loggerfilespath loggerrequired loggerinseparateprocess customlogger", none("as the logger is Effect's")],
  // What it is for
  ["queue allocationqueuegroup", none("`queue` is given where one subscribes")],
  [
    "pendingbyteslimit subchanlen pendinglimit maxbufferedbytes flusherqueuesize",
    none("`capacity` and `capacityBytes` are given where one subscribes")
  ],
  [
    "jetstream enablejs jetstreamdomain jetstreamapiprefix jetstreameventprefix jsdomain jsapiprefix jseventprefix",
    none("as it is not of a connection")
  ],
  [
    "json encoding payload serializer deserializer codec preservebuffers",
    none("a payload is text or bytes; `SubjectSchema` gives it a type")
  ],
  [
    "noasynctraces useoldrequeststyle nocallbacksafterclientclose permissionerronsubscribe skipsubjectvalidation " +
    "writebuffersize yieldtime stanclusterid maxpayload maxcontrolline",
    none("as nothing here needs it")
  ],
  ["loop ignoretasksexceptions", none("as Effect runs what is run")],
  ["transport", none("it is of NestJS: what stands in its `options` belongs here")],
  ["options", "it is of NestJS: what stands in it belongs here, one level up"],
  ["colorscheme", onTool],
  [
    "listen authorization accounts cluster gateway leafnodes mqtt operator resolver resolverpreload systemaccount " +
    "noauthuser httpport http httpsport monitorport storedir pidfile logfile logtime servertags lameduckduration",
    onServer
  ]
)

const auth = hints(
  ["username login", "use `user`"],
  ["pass pwd", "use `password`"],
  ["authtoken", "use `token`"],
  ["nkey nkeyseed", "use `{ _tag: \"NKey\", seed }`"],
  ["userjwt", "use `{ _tag: \"Jwt\", jwt, seed }`"],
  ["credentials credsfile credspath usercreds", "use `{ _tag: \"CredsFile\", path }`"],
  ["userjwtcb signaturecb noncesigner", "give `auth` as an Effect that yields `{ _tag: \"Jwt\", jwt, seed }`"],
  ["authenticator tokenhandler", "give `auth` as an Effect that yields one of the forms"],
  ["type method", "use `_tag`"],
  ["tls", "it belongs beside `auth`, as `tls`"],
  ["tlshostname", "use `tls.serverName`"],
  ["tlshandshakefirst tlsfirst", "use `tls.handshakeFirst`"],
  ["allowreconnect", "it belongs beside `auth`, as `reconnect`"],
  ["maxreconnectattempts", "it belongs beside `auth`, as `reconnect.maxAttempts`"],
  ["reconnecttimewait", "it belongs beside `auth`, as `reconnect.initialDelay`"],
  ["errorcb disconnectedcb reconnectedcb", status],
  ["closedcb", "use `closed` of the client"]
)

const tls = hints(
  [
    "rejectunauthorized insecure insecureskipverify skipverify verify tlsverify checkserveridentity",
    "the server is always verified; what turns that off is `dangerouslyDisableVerification`"
  ],
  ["hostname host servername tlshostname", "use `serverName`"],
  ["keypassphrase password", "use `passphrase`"],
  ["enabled enable", "use `mode`: \"disable\", \"prefer\" or \"require\""],
  ["required require", "use `mode`: \"require\""],
  ["first tlsfirst", "use `handshakeFirst`"],
  ["rootca rootcas cacert certificateauthority", "use `caFile` for a path, `ca` for PEM text"],
  ["certificate clientcert", "use `certFile` for a path, `cert` for PEM text"],
  ["privatekey clientkey", "use `keyFile` for a path, `key` for PEM text"],
  ["pfx p12", none("give certificate and key as PEM: `certFile` and `keyFile`")],
  ["minversion maxversion ciphers ciphersuites secureprotocol", none("those of Node count")]
)

const webSocket = hints(
  ["cookie", "use `headers: { cookie }`"],
  ["authorization", "use `headers: { authorization }`"],
  ["path", "write it into the URL of `servers`"]
)

const reconnect = hints(
  ["enabled", "write `reconnect: false` for none"],
  ["retries attempts max maxretries maxreconnectattempts maxreconnect", "use `maxAttempts`"],
  ["delay wait timewait reconnecttimewait reconnectwait mindelay", "use `initialDelay`"],
  ["timeout maxtime", "use `maxElapsed`"],
  ["waitonfirstconnect retryonfailedconnect", "use `onFirstConnect`: \"wait\""],
  ["ignoreautherrorabort", "use `refusalTimeout`: \"forever\""]
)

const whileDisconnected = hints(["size max limit messages bufsize", "use `buffer`"])

const bySection: Readonly<Record<SectionName, Hints>> = { "": root, auth, tls, webSocket, reconnect, whileDisconnected }

/** What is said of the keys that a section does not have. */
export const hintsOf = (section: SectionName): Hints => bySection[section]

const sections: ReadonlyArray<SectionName> = ["auth", "tls", "webSocket", "reconnect", "whileDisconnected"]

/** The option that another section has by this key, or that this key names in one word, as `tlsCaFile` does. */
const elsewhere = (section: SectionName, word: string): string | undefined => {
  if (section !== "") {
    const ofRoot = keysOf("").find((key) => normal(key) === word)
    if (ofRoot !== undefined) return `it belongs beside \`${section}\`, as \`${ofRoot}\``
  }
  for (const other of sections) {
    const key = other === section ? undefined : keysOf(other).find((key) =>
      // A key of `auth` is one of a form.
      normal(other) + normal(key) === word || (other !== "auth" && normal(key) === word)
    )
    if (key !== undefined) return `use \`${other}.${key}\``
  }
  return undefined
}

/** What to say of a key that the section does not have, where others have it. */
export const hintFor = (section: SectionName, key: string): string | undefined => {
  const word = normal(key)
  return hintsOf(section).get(word) ?? elsewhere(section, word)
}
