/** A stage that cannot be completed although the device did what it was told: the card inside is to be given up. */
import { type FaultCode } from '@cardwright/domain';
import { type Evidence } from '../journal/job-history.ts';

export class StageFailure extends Error {
  override readonly name = 'StageFailure';
  readonly fault: FaultCode;
  /** Masked facts for people; no card data. */
  readonly evidence: Evidence;

  constructor(fault: FaultCode, evidence: Evidence = {}) {
    super(fault);
    this.fault = fault;
    this.evidence = evidence;
  }
}
