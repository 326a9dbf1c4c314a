/** Turns "nobody listens" into words that say what to do. */

function isRefused(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as { code?: string }).code === 'ECONNREFUSED') return true;
  }
  return false;
}

/** Passes the result on; ends the process with a hint when the system is not running. */
export async function failWhenNotRunning<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const message = isRefused(error)
      ? 'Cardwright is not running here. Start it with npm start.'
      : error instanceof Error
        ? error.message
        : String(error);
    process.stderr.write(`${message}\n`);
    process.exit(1);
  }
}
