/**
 * Of vitest JSON reports: what CI counts and what it says last.
 *
 *   counts.mjs REPORT         "<passed> <failed>"; skipped and unfinished tests count as failed: none is allowed
 *   counts.mjs --failed DIR   each test that did not pass in the reports of DIR, with the first lines of its error
 */
import * as fs from "node:fs"
import * as path from "node:path"

const reportOf = (file) => JSON.parse(fs.readFileSync(file, "utf8"))

/** Files that failed before they had a test. */
const brokenFiles = (report) =>
  report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)

const firstLines = (text) => {
  const lines = text.split("\n").slice(0, 8)
  return lines.map((line) => `    ${line.slice(0, 200)}`).join("\n")
}

const failuresOf = (report) => [
  ...brokenFiles(report).map(({ message, name }) => ({ name: path.relative(".", name), message })),
  ...report.testResults.flatMap(({ assertionResults, name }) =>
    assertionResults
      .filter(({ status }) => status !== "passed")
      .map(({ failureMessages, fullName, status }) => ({
        name: `${path.relative(".", name)} > ${fullName}`,
        message: failureMessages?.[0] ?? status
      }))
  )
]

const [first, directory] = process.argv.slice(2)
if (first === "--failed") {
  for (const file of fs.readdirSync(directory).filter((name) => name.endsWith(".json"))) {
    for (const { message, name } of failuresOf(reportOf(path.join(directory, file)))) {
      console.log(`FAILED (${path.basename(file, ".json")}) ${name}\n${firstLines(message)}`)
    }
  }
} else {
  const report = reportOf(first)
  console.log(
    `${report.numPassedTests} ${report.numTotalTests - report.numPassedTests + brokenFiles(report).length}`
  )
}
