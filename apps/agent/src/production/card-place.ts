/**
 * Where the one blank of a job is, from the device's counters before the feed and what it says now. Pure.
 *
 * Invariant: a place is named only when the device's own words leave no other; everything else is `unknown`.
 */
import { type DeviceCounters, type RecoveryReport } from '@cardwright/devices';

export type CardPlace =
  /** In the transport, at a station or under the print head. */
  | 'inside'
  /** Inside still, but a hand can take it. */
  | 'at-exit'
  | 'rejected'
  /** Out of the exit. */
  | 'left'
  /** No blank was picked since the job's feed. */
  | 'not-picked'
  /** The device does not answer: ask again. */
  | 'unreachable'
  /** The device answers, and its answer does not tell. */
  | 'unknown';

/**
 * @param before counters journalled right before the feed; undefined when the device has none
 * @param report what the device says now; `unreachable` when it says nothing
 */
export function decideCardPlace(
  before: DeviceCounters | undefined,
  report: RecoveryReport | 'unreachable',
): CardPlace {
  if (report === 'unreachable') return 'unreachable';
  switch (report.card) {
    case 'transport':
    case 'contact':
    case 'print':
      return 'inside';
    case 'exit':
      return 'at-exit';
    case 'none':
    case 'unknown':
      return placeByCounters(before, report);
  }
}

function placeByCounters(before: DeviceCounters | undefined, report: RecoveryReport): CardPlace {
  const now = report.counters;
  if (before === undefined || now === undefined) return 'unknown';
  const picked = now.picked - before.picked;
  const ejected = now.ejected - before.ejected;
  const rejected = now.rejected - before.rejected;
  // A card in the reject bin may have been at the exit before: drawn back.
  if (picked === 1 && rejected === 1) return 'rejected';
  if (picked === 1 && ejected === 1 && rejected === 0) return report.card === 'none' ? 'left' : 'unknown';
  if (picked === 0 && ejected === 0 && rejected === 0 && report.card === 'none') return 'not-picked';
  return 'unknown';
}
