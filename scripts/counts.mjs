/** Prints "<passed> <failed>" of a vitest JSON report. Skipped and unfinished tests count as failed: none is allowed. */
import * as fs from "node:fs"

const report = JSON.parse(fs.readFileSync(process.argv[2] ?? "", "utf8"))
const passed = report.numPassedTests
const brokenFiles = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)
console.log(`${passed} ${report.numTotalTests - passed + brokenFiles.length}`)
