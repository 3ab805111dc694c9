/**
 * Runs a command, and ends its output with a line that says how much memory it took at most, in bytes. It does so in a
 * process of its own: on Linux the highest memory of a process begins with that of whoever started it, and a benchmark
 * may hold hundreds of megabytes.
 */
const { exitCode, resourceUsage } = Bun.spawnSync(process.argv.slice(2), {
  stdout: "inherit",
  stderr: "inherit",
});
console.log(`memory ${resourceUsage.maxRSS}`);
process.exitCode = exitCode;
