/**
 * Preloaded into a process of the application: at SIGUSR2 it makes an error that nobody catches, of a promise or
 * thrown, as the variable UNCAUGHT says.
 */
process.on("SIGUSR2", () => {
  const error = new Error("a test made this");
  if (process.env.UNCAUGHT === "promise") void Promise.reject(error);
  else throw error;
});
