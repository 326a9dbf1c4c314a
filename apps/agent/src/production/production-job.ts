/**
 * One job in the hands of a living agent: its journal rows, its device session, its operator time.
 *
 * Invariants: every row goes through here, so that a stage and its report are one commit; the session is the one
 * card of this job; operator time is counted once over all stages.
 */
import { type CardSession, DeviceFault } from '@cardwright/devices';
import { type FaultCode, invariant, type ProductionStage } from '@cardwright/domain';
import { delay } from '@cardwright/runtime';
import {
  emptyHistory,
  type Evidence,
  type JobHistory,
  type JobIdentity,
  type JournalEntry,
} from '../journal/job-history.ts';
import { retryUntil } from '../link/back-off.ts';
import { LinkFault } from '../link/station-error.ts';
import { type CardPlace, decideCardPlace } from './card-place.ts';
import { decideAfterFault, type FaultedStage } from './fault-decision.ts';
import { type StationParts } from './station-parts.ts';
import { withinLimit } from './watchdog.ts';

const operatorBackOff = { baseMs: 500, capMs: 5_000 };
const serverBackOff = { baseMs: 200, capMs: 5_000 };

export class ProductionJob {
  readonly parts: StationParts;
  readonly identity: JobIdentity;
  /** Present while this process holds the device for this job. */
  session: CardSession | undefined;
  readonly #timings: Record<string, number> = {};
  #operatorLeftMs: number;

  constructor(parts: StationParts, identity: JobIdentity) {
    this.parts = parts;
    this.identity = identity;
    this.#operatorLeftMs = parts.limits.operatorWaitMs;
  }

  get timings(): Readonly<Record<string, number>> {
    return this.#timings;
  }

  history(): JobHistory {
    return this.parts.journal.history(this.identity) ?? emptyHistory(this.identity);
  }

  /** Writes a row that no report tells of. */
  write(entry: JournalEntry): void {
    this.parts.journal.write(this.identity, entry);
  }

  /** A production stage begins: durable before the caller touches the device (I6). */
  startStage(stage: Exclude<ProductionStage, 'stripe'>, entry: Partial<JournalEntry> = {}): void {
    invariant(this.history().outcome === undefined, 'I1', `stage ${stage} after the outcome`);
    this.#timings[stage] = -this.parts.clock.now();
    this.parts.journal.write(this.identity, { ...entry, step: stage, phase: 'started' }, [
      { kind: 'stage', stage, status: 'started' },
    ]);
    this.parts.logger.event('agent.stage-started', { jobId: this.identity.jobId, stage });
  }

  completeStage(stage: Exclude<ProductionStage, 'stripe'>, evidence?: Evidence): void {
    this.#stopTiming(stage);
    const entry = {
      step: stage,
      phase: 'completed',
      ...(evidence === undefined ? {} : { evidence }),
    } as const;
    this.parts.journal.write(this.identity, entry, [{ kind: 'stage', stage, status: 'completed' }]);
    this.parts.logger.event('agent.stage-completed', {
      jobId: this.identity.jobId,
      stage,
      tookMs: this.#timings[stage],
    });
  }

  failStage(stage: Exclude<ProductionStage, 'stripe'>, fault: FaultCode, evidence?: Evidence): void {
    this.#stopTiming(stage);
    const entry = {
      step: stage,
      phase: 'failed',
      fault,
      ...(evidence === undefined ? {} : { evidence }),
    } as const;
    this.parts.journal.write(this.identity, entry, [{ kind: 'stage', stage, status: 'failed', fault }]);
    this.parts.logger.warn('agent.stage-failed', { jobId: this.identity.jobId, stage, fault });
  }

  /**
   * Lets the device do one thing. While it waits for an operator the job waits with it, says so once per fault,
   * and keeps telling the device to try again; when operator time is over, the device is told to give up.
   * @throws DeviceFault that does not wait any more
   */
  async moveCard(
    session: CardSession,
    stage: FaultedStage,
    limitMs: number,
    operation: () => Promise<void>,
  ): Promise<void> {
    const { clock } = this.parts;
    const told = new Set<string>();
    let next = operation;
    for (let attempt = 0; ; attempt++) {
      try {
        await withinLimit(clock, limitMs, stage, next);
        return;
      } catch (error) {
        if (!(error instanceof DeviceFault)) throw error;
        const decision = decideAfterFault(error, stage, this.#operatorLeftMs);
        if (decision.kind === 'cancel') throw await this.#giveUp(session, error);
        if (decision.kind !== 'wait') throw error;
        if (!told.has(error.code)) this.tellWaiting(stage, error);
        told.add(error.code);
        await this.waitForOperator(attempt);
        // From here the operation is the device's: asking for it anew could move a second card.
        next = () => session.answer('retry');
      }
    }
  }

  /** Tells the server and the log that somebody has to come. */
  tellWaiting(stage: FaultedStage, fault: DeviceFault): void {
    const { jobId } = this.identity;
    this.parts.logger.warn('agent.operator-wanted', {
      jobId,
      stage,
      fault: fault.code,
      vendor: fault.vendor,
    });
    if (stage === 'present' || stage === 'reject') return;
    this.parts.journal.queueReport(this.identity, {
      kind: 'stage',
      stage,
      status: 'waiting',
      fault: fault.code,
    });
  }

  /** Spends operator time. @throws when the agent is told to stop meanwhile */
  async waitForOperator(attempt: number): Promise<void> {
    const { clock, stopping } = this.parts;
    const bound = Math.min(operatorBackOff.capMs, operatorBackOff.baseMs * 2 ** Math.min(attempt, 10));
    const pauseMs = Math.max(1, Math.min(bound, this.#operatorLeftMs));
    await delay(clock, pauseMs, stopping);
    this.#operatorLeftMs -= pauseMs;
  }

  get hasOperatorTime(): boolean {
    return this.#operatorLeftMs > 0;
  }

  /** Asks the server, again and again for a while. @throws StationRefusal, or LinkFault when time is over */
  askServer<T>(question: () => Promise<T>, limitMs = this.parts.limits.serverMs): Promise<T> {
    const { clock, random, stopping } = this.parts;
    return retryUntil(
      {
        clock,
        random,
        backOff: serverBackOff,
        isRetryable: (error) => error instanceof LinkFault,
        deadline: clock.now() + limitMs,
        signal: stopping,
      },
      question,
    );
  }

  /** Asks the device where this job's card is. */
  async askPlace(): Promise<CardPlace> {
    const { device } = this.parts;
    const status = await device.status();
    const report = status.state === 'offline' ? 'unreachable' : await device.recover();
    return decideCardPlace(this.history().countersBefore, report);
  }

  async #giveUp(session: CardSession, waiting: DeviceFault): Promise<DeviceFault> {
    const { code, faultClass, vendor } = waiting;
    try {
      await session.answer('cancel');
    } catch (error) {
      if (!(error instanceof DeviceFault)) throw error;
    }
    return new DeviceFault({ code, faultClass, vendor });
  }

  #stopTiming(stage: string): void {
    const started = this.#timings[stage];
    if (started !== undefined && started < 0) this.#timings[stage] = this.parts.clock.now() + started;
  }
}
