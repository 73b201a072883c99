/** What is said of a file that is no JSON. */
import { assert, describe, it } from "@effect/vitest"
import { findJsonFault } from "../src/internal/config/json.ts"
import { notJson } from "../src/internal/config/notJson.ts"
import { identity } from "./fixtures/identity.ts"

const said = (text: string): string => {
  const fault = findJsonFault(text)
  return fault === undefined ? "JSON" : notJson(text, fault)
}

/** As a file in UTF-16 is read as UTF-8, with and without its mark. */
const utf16 = (mark: string): string => Buffer.from(`${mark}{"servers":"c4n4ry"}`, "utf16le").toString("utf8")

describe("a file that is no JSON", () => {
  const cases: ReadonlyArray<readonly [string, string, string]> = [
    ["empty", " ", ": there is nothing in it"],
    [
      "JSON with a comment",
      "{\n  // c4n4ry\n}",
      "line 2, column 3, where a key in double quotes must stand: JSON has no comments"
    ],
    ["JSON with another comment", "{ \"a\": 1 # c4n4ry\n}", ": JSON has no comments"],
    [
      "JSON with a comma too many",
      "[1,\n]",
      "line 2, column 1, where a value must stand: JSON has no comma behind the last entry"
    ],
    ["JSON in single quotes", "{ 'c4n4ry': 1 }", ": JSON has double quotes only"],
    [
      "a server's configuration",
      "# c4n4ry\nlisten: 0.0.0.0:4222\n",
      ": it looks like a server's configuration, and this is the client's: only JSON is read here"
    ],
    [
      "a server's block",
      "authorization { token: c4n4ry }",
      ": it looks like a server's configuration, and this is the client's: only JSON is read here"
    ],
    ["YAML", "servers: nats://c4n4ry\nauth:\n  user: a\n", ": it looks like YAML: only JSON is read here"],
    ["YAML with a mark", "---\nservers: c4n4ry\n", ": it looks like YAML: only JSON is read here"],
    ["TOML", "[nats]\nurl = \"c4n4ry\"\n", ": it looks like TOML or INI: only JSON is read here"],
    [
      "variables",
      "export NATS_URL=c4n4ry\n",
      ": it looks like an env file: set its variables, and use `NatsLayer.fromEnv`"
    ],
    [
      "a creds file",
      "-----BEGIN NATS USER JWT-----\nc4n4ry",
      ": it is a creds file or PEM: name it in `auth` or `tls` of a configuration"
    ],
    [
      "UTF-16",
      utf16(""),
      ": it is UTF-16 text, as PowerShell writes with >: save it as UTF-8 (Set-Content -Encoding utf8)"
    ],
    [
      "UTF-16 with a mark",
      utf16("\uFEFF"),
      ": it is UTF-16 text, as PowerShell writes with >: save it as UTF-8 (Set-Content -Encoding utf8)"
    ],
    [
      "JSON with a line as TOML has them",
      "{\nc4n4ry = 4222\n}",
      "line 2, column 1, where a key in double quotes must stand"
    ],
    ["a list of YAML", "- nats://c4n4ry\n", ": it looks like YAML: only JSON is read here"],
    ["a URL", "nats://c4n4ry:4222\n", ": it looks like a URL, which is `servers` of a configuration"],
    [
      "a seed",
      `${identity(1).seed}\n`,
      ": it is a creds file or PEM: name it in `auth` or `tls` of a configuration"
    ],
    [
      "base64 of JSON",
      Buffer.from("{\"name\":\"c4n4ry\"}").toString("base64"),
      ": it is base64 of the text and not the text itself: decode it once (base64 -d), as a secret's manifest has it encoded"
    ],
    ["base64 of something else", Buffer.from("c4n4ry:1").toString("base64"), "where a value must stand"],
    ["JSON with a NUL behind it", "{\"name\":\"c4n4ry\"}\u0000", "where the end of the text must stand"],
    ["JSON that is broken", "{ \"c4n4ry\" 5 }", "column 12, where a colon must stand"]
  ]
  for (const [name, text, end] of cases) {
    it(`but ${name} is told as that, with the place and none of the text`, () => {
      assert.isTrue(said(text).endsWith(end), said(text))
      assert.match(said(text), /^is not JSON at line \d+, column \d+, where /)
      assert.notInclude(said(text), "c4n4ry")
    })
  }
})
