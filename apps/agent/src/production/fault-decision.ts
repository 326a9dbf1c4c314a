/**
 * What a device fault in a stage leads to. Reads the fault's class and the stage, never its text. Pure.
 */
import { type FaultCode } from '@cardwright/domain';
import { type FaultClass } from '@cardwright/devices';

export type FaultedStage = 'feed' | 'chip' | 'print' | 'verify' | 'present' | 'reject';

export interface FaultFacts {
  readonly code: FaultCode;
  readonly faultClass: FaultClass;
  readonly isWaiting: boolean;
}

export type FaultDecision =
  /** The device waits for a person: say so and keep asking. */
  | { readonly kind: 'wait' }
  /** Nobody came: the device is told to give up, then the card's fate is decided. */
  | { readonly kind: 'cancel' }
  /** Nothing moved, no blank used. */
  | { readonly kind: 'withdraw'; readonly fault: FaultCode }
  | { readonly kind: 'reject'; readonly fault: FaultCode }
  /** Only the device can say where the card is. */
  | { readonly kind: 'ask-device'; readonly fault: FaultCode };

/** @param waitLeftMs how much operator time this job has left, in ms */
export function decideAfterFault(fault: FaultFacts, stage: FaultedStage, waitLeftMs: number): FaultDecision {
  if (fault.isWaiting) return waitLeftMs > 0 ? { kind: 'wait' } : { kind: 'cancel' };
  const { code, faultClass } = fault;
  switch (faultClass) {
    case 'clean':
      // Before the feed nothing is inside; in any later stage the card that was inside still is.
      return stage === 'feed' ? { kind: 'withdraw', fault: code } : { kind: 'reject', fault: code };
    case 'card-inside':
      // A reject that fails with the card inside would only fail again: the device is asked instead.
      return stage === 'reject' ? { kind: 'ask-device', fault: code } : { kind: 'reject', fault: code };
    case 'ambiguous':
      return { kind: 'ask-device', fault: code };
  }
}
