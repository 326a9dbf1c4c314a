/**
 * Named crash points: places where a test may kill the process, each the site of a real race.
 *
 * `CARDWRIGHT_CRASH_AT=agent.after-arm` kills at the first pass; `name:3` at the third. With
 * `CARDWRIGHT_CRASH_ONCE=FILE` the process dies only if FILE does not exist yet and makes it first, so that a
 * supervisor's restart passes. Without the variables a crash point costs one comparison.
 */
import { closeSync, existsSync, openSync } from 'node:fs';

const wanted = process.env['CARDWRIGHT_CRASH_AT'];
const onceFile = process.env['CARDWRIGHT_CRASH_ONCE'];
const passes = new Map<string, number>();

/** Dies here, as by kill -9, when the environment asks for it. */
export function crashPoint(name: string): void {
  if (wanted === undefined) return;
  const [wantedName, count = '1'] = wanted.split(':');
  if (wantedName !== name) return;
  const pass = (passes.get(name) ?? 0) + 1;
  passes.set(name, pass);
  if (pass !== Number(count)) return;
  if (onceFile !== undefined) {
    if (existsSync(onceFile)) return;
    closeSync(openSync(onceFile, 'w'));
  }
  process.kill(process.pid, 'SIGKILL');
  // SIGKILL to oneself is not instant: nothing after this point may run.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
