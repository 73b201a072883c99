/**
 * A process that imports modules and tells what that cost. Plain JavaScript, so that no compiler is in its memory.
 *
 *   node bench/imported.mjs <specifier>...
 */
const before = process.cpuUsage()
const since = performance.now()
for (const specifier of process.argv.slice(2)) await import(specifier)
const wall = performance.now() - since
const imported = process.cpuUsage(before)
const whole = process.cpuUsage()
const sample = {
  cpu: imported.user + imported.system,
  start: (whole.user + whole.system) / 1000,
  wall,
  rss: process.memoryUsage.rss() / 1e6
}
if (process.send === undefined) console.log(sample)
else process.send(sample, () => process.exit())
