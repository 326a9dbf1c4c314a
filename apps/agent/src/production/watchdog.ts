/** Ends every wait: a device or chip that does not come back must not hold a card, and a station, for ever. */
import { DeviceFault } from '@cardwright/devices';
import { type Clock } from '@cardwright/runtime';

/**
 * Waits for `action` at most `limitMs`.
 * @throws DeviceFault DEVICE_FAULT, ambiguous, when the limit passes: what the device did is unknown
 */
export function withinLimit<T>(
  clock: Clock,
  limitMs: number,
  what: string,
  action: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => {
      reject(
        new DeviceFault({
          code: 'DEVICE_FAULT',
          faultClass: 'ambiguous',
          vendor: `watchdog: ${what} took longer than ${limitMs} ms`,
        }),
      );
    }, limitMs);
    action().then(
      (value) => {
        timer.cancel();
        resolve(value);
      },
      (error: unknown) => {
        timer.cancel();
        reject(error instanceof Error ? error : new Error('rejected without an error'));
      },
    );
  });
}
