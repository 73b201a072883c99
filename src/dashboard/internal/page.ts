/**
 * The page: one document that loads nothing else, and shows each snapshot of `table.ts` as it comes. It knows nothing of what
 * it shows; each text of it becomes text of the document.
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

const style = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --line: #e3e6eb; --text: #1b1f27; --faint: #697181; --accent: #2f6fed;
  --good: #17804c; --good-back: #e2f5ea; --bad: #b3261e; --bad-back: #fdeae8; --shade: 0 1px 2px #1b1f2712;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f1217; --card: #181c23; --line: #2a303a; --text: #e7eaf0; --faint: #97a1b2; --accent: #7aa5ff;
    --good: #5fd39a; --good-back: #14301f; --bad: #ff938a; --bad-back: #3a1a18; --shade: none;
  }
}
* { box-sizing: border-box; margin: 0; }
body {
  max-width: 88rem; margin: 0 auto; padding: 1.25rem; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 0.875rem/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif;
}
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center; margin-bottom: 1rem; }
h1 { flex: 1 1 auto; font-size: 1.375rem; line-height: 1.2; letter-spacing: -0.01em; }
h2 { font-size: 0.9375rem; padding: 0.75rem 1rem; }
.state { display: inline-block; padding: 0.05rem 0.55rem; border-radius: 1rem; white-space: nowrap; }
header .state { padding: 0.25rem 0.75rem; font-variant-numeric: tabular-nums; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin-bottom: 0.75rem; }
dl > div, section { background: var(--card); border: 1px solid var(--line); border-radius: 0.625rem; box-shadow: var(--shade); }
dl > div { position: relative; padding: 0.7rem 1rem; overflow: hidden; }
dt { color: var(--faint); font-size: 0.8125rem; }
dd { font-size: 1.5rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
dd small { font-size: 0.875rem; font-weight: 400; color: var(--faint); }
dl svg { position: absolute; right: 0.75rem; bottom: 0.8rem; width: 4.5rem; height: 1.5rem; }
main { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0.75rem; }
.lost main, .lost dl { opacity: 0.45; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 0.4rem 1rem; text-align: left; border-top: 1px solid var(--line); vertical-align: baseline; }
th { color: var(--faint); font-size: 0.8125rem; font-weight: 500; white-space: nowrap; }
td:not(.number) { min-width: 7rem; }
td:first-child { font-weight: 600; text-align: left; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.number svg { width: 4rem; height: 1rem; margin-right: 0.6rem; vertical-align: -0.15rem; }
.trouble { color: var(--bad); font-weight: 600; }
.note { padding: 0 1rem 0.75rem; color: var(--faint); }
.problem { padding: 0 1rem 0.75rem; }
[hidden] { display: none !important; }
svg { fill: none; stroke: var(--accent); stroke-width: 1.5; overflow: visible; }
polyline { vector-effect: non-scaling-stroke; stroke-linejoin: round; }
@media (max-width: 64rem) {
  th, td { padding: 0.4rem 0.6rem; }
  :is(th, td):first-child { padding-left: 1rem; }
  .number svg { display: none; }
}
@media (max-width: 44rem) {
  body { padding: 0.75rem; }
  dl { grid-template-columns: 1fr 1fr; }
  thead { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0.1rem 1.25rem; padding: 0.5rem 1rem; border-top: 1px solid var(--line); }
  tr td { display: flex; gap: 0.75rem; justify-content: space-between; padding: 0; border: 0; text-align: right; }
  td:not(.number) { grid-column: 1 / -1; }
  td::before { content: attr(data-title); flex: 0 1 auto; color: var(--faint); font-weight: 400; text-align: left; }
  tr td:first-child { padding: 0; font-size: 1rem; text-align: left; }
  td:first-child::before { content: none; }
  td:empty { display: none; }
}
@media print {
  :root { --page: #fff; --card: #fff; --line: #ccc; --text: #000; --faint: #444; --shade: none; }
  body { padding: 0; font-size: 0.7rem; }
  section, tr { break-inside: avoid; }
}
`

const script = String.raw`
"use strict"
const say = (node, text) => { if (node.textContent !== text) node.textContent = text }
const make = (tag, ...inside) => { const node = document.createElement(tag); node.append(...inside); return node }
// So many children: those that are there stay, so that a text that somebody has marked stays so, too.
const many = (parent, count, one) => {
  while (parent.children.length > count) parent.lastElementChild.remove()
  while (parent.children.length < count) parent.append(one())
  return [...parent.children]
}
const scaled = (value, size, names) => {
  let step = 0
  while (value >= size && step < names.length - 1) { value /= size; step++ }
  return (step === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)) + " " + names[step]
}
const lengthOf = (seconds) => {
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]
  const first = Math.max(0, parts.findIndex(([size]) => seconds >= size))
  if (seconds < 1) return "0 s"
  return parts.slice(first, first + 2)
    .map(([size, name], index) => Math.floor(index === 0 ? seconds / size : seconds % parts[first][0] / size) + " " + name)
    .join(" ")
}
const units = {
  bytes: (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]),
  nanos: (value) => scaled(value, 1000, ["ns", "µs", "ms", "s"]),
  rate: (value) => value === 0 ? "0" : value >= 100 ? value.toFixed(0) : value.toFixed(1),
  seconds: lengthOf
}
const textOf = (value, unit) =>
  value === null ? "–"
    : value === undefined ? ""
    : typeof value === "string" ? value
    : unit === undefined ? value.toLocaleString("en") : units[unit](value)
const isTrouble = (column, value) => column.isTrouble === true && (typeof value === "string" ? value !== "" : value > 0)

let history = new Map()
let drawn = new Map()
const draw = (node, key, value) => {
  const values = [...history.get(key) ?? [], value].slice(-60)
  drawn.set(key, values)
  const most = Math.max(...values, 1e-9)
  node.setAttribute("points", values.map((each, at) => 100 - (values.length - 1 - at) * 100 / 59 + "," + (20 - each * 20 / most)).join(" "))
}
const svgOf = () => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg")
  svg.setAttribute("viewBox", "0 0 100 20")
  svg.setAttribute("preserveAspectRatio", "none")
  svg.setAttribute("aria-hidden", "true")
  svg.append(document.createElementNS("http://www.w3.org/2000/svg", "polyline"))
  return svg
}
// A line of what the value was, in front of its text.
const fill = (node, column, key, value, of) => {
  const text = textOf(value, column.unit)
  if (column.isDrawn !== true || typeof value !== "number") return say(node, text)
  if (node.firstElementChild === null) node.replaceChildren(svgOf(), make("span"))
  say(node.lastElementChild, text)
  draw(node.querySelector("polyline"), key, value)
}

const showTiles = (tiles) => {
  const nodes = many(document.querySelector("dl"), tiles.length, () => make("div", make("dt"), make("dd")))
  tiles.forEach((tile, at) => {
    const [title, value] = nodes[at].children
    say(title, tile.title)
    if (tile.of === undefined) {
      fill(value, tile, "tile " + tile.title, tile.value)
    } else {
      if (value.firstElementChild === null) value.replaceChildren(make("span"), make("small"))
      say(value.firstElementChild, textOf(tile.value))
      say(value.lastElementChild, " of " + textOf(tile.of))
    }
    value.className = isTrouble(tile, tile.value) || tile.value < tile.of ? "trouble" : ""
  })
}

const sectionOf = () => {
  const table = make("table", make("thead", make("tr")), make("tbody"))
  const section = make("section", make("h2"), make("p"), make("div", table), make("p"))
  section.children[1].className = "problem"
  section.children[2].className = "scroll"
  section.children[3].className = "note"
  return section
}
const showTable = (section, { columns, more, problem, rows, title }) => {
  const [head, trouble, scroll, note] = section.children
  const [thead, tbody] = scroll.firstElementChild.children
  say(head, title)
  say(trouble, problem ?? "")
  trouble.hidden = problem === undefined
  scroll.hidden = rows.length === 0
  say(note, more > 0 ? "… and " + more.toLocaleString("en") + " more" : "None.")
  note.hidden = more === 0 && (rows.length > 0 || problem !== undefined)
  many(thead.firstElementChild, columns.length, () => make("th")).forEach((cell, at) => {
    say(cell, columns[at].title)
    cell.scope = "col"
    const isNumber = rows.some((row) => typeof row[at] === "number") || columns[at].unit !== undefined
    cell.className = isNumber ? "number" : ""
  })
  many(tbody, rows.length, () => make("tr")).forEach((line, index) => {
    const row = rows[index]
    // What it is called by; numbers change.
    const name = row.filter((cell) => typeof cell === "string")
    many(line, columns.length, () => make("td")).forEach((cell, at) => {
      const column = columns[at]
      const value = row[at]
      cell.dataset.title = column.title
      const isNumber = typeof value === "number" || (value === null && column.unit !== undefined)
      cell.className = (isNumber ? "number" : "") + (isTrouble(column, value) ? " trouble" : "")
      if (column.isState === true) {
        if (cell.firstElementChild === null) cell.replaceChildren(make("span"))
        say(cell.firstElementChild, value)
        cell.firstElementChild.className = "state " + (value === "Connected" ? "good" : "bad")
      } else {
        fill(cell, column, JSON.stringify([title, column.title, ...name]), value)
      }
    })
  })
}

const live = document.querySelector("header p")
const timeOf = (millis) => new Date(millis).toLocaleTimeString()
let since = Date.now()
let seen = Date.now()
let everyMillis = 1000
let hadSome = false
const lost = () => {
  document.body.className = "lost"
  live.className = "state bad"
  say(live, (hadSome ? "Connection lost, since " : "No connection, since ") + timeOf(since))
}
const show = (snapshot) => {
  hadSome = true
  since = seen = Date.now()
  everyMillis = snapshot.everyMillis
  document.body.className = ""
  live.className = "state good"
  say(live, "Live, " + timeOf(snapshot.at))
  drawn = new Map()
  showTiles(snapshot.tiles)
  const sections = many(document.querySelector("main"), snapshot.tables.length, sectionOf)
  snapshot.tables.forEach((table, at) => showTable(sections[at], table))
  history = drawn
}

let source
const open = () => {
  source?.close()
  source = new EventSource(location.pathname.replace(/\/$/, "") + "/events")
  source.onmessage = ({ data }) => show(JSON.parse(data))
  source.onerror = () => {
    lost()
    // What was answered with something else is not tried again by the browser.
    if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000)
  }
}
// A connection can be dead without a word.
setInterval(() => {
  if (Date.now() - seen < 10000 + 3 * everyMillis) return
  seen = Date.now()
  lost()
  open()
}, 1000)
open()
`

const escaped = (text: string): string => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`)

const digest = (text: string): Effect.Effect<string> =>
  Effect.map(
    Effect.promise(() => crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))),
    (bytes) => `'sha256-${Base64.encode(new Uint8Array(bytes))}'`
  )

/** The answer, whose policy allows what is in it and nothing else. */
export const makePage = (title: string): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.map(Effect.all([digest(style), digest(script)]), ([styles, scripts]) => {
    const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escaped(title)}</title>
<link rel="icon" href="data:,">
<style>${style}</style>
</head>
<body>
<header><h1>${escaped(title)}</h1><p class="state" role="status">Connecting…</p></header>
<noscript><p class="problem">This page needs JavaScript.</p></noscript>
<dl></dl>
<main></main>
<script>${script}</script>
</body>
</html>
`
    return HttpServerResponse.text(html, {
      contentType: "text/html; charset=utf-8",
      headers: {
        "content-security-policy": [
          "default-src 'none'",
          `script-src ${scripts}`,
          `style-src ${styles}`,
          "img-src data:",
          "connect-src 'self'",
          "base-uri 'none'",
          "form-action 'none'",
          "frame-ancestors 'none'"
        ].join("; "),
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff"
      }
    })
  })
