/**
 * Runs one printer operation at a time, and keeps the one that the printer has stopped until it is answered.
 *
 * Invariants: an operation is sent once; while one is stopped no other starts; its clean-up runs once, when it is
 * over; a printer that offers nothing but giving up is told so at once.
 */
import { DeviceFault } from '../device-fault.ts';
import { type SessionKnowledge, faultFromRpc, faultFromSight, faultFromState } from './evolis-evidence.ts';
import { decideEventReaction } from './evolis-faults.ts';
import { type EvolisLink } from './evolis-link.ts';
import { type EvolisOperation, startOperation, watchOperation } from './evolis-operation.ts';
import { EvolisRpcError } from './evolis-rpc.ts';
import { type EvolisEvent } from './evolis-state.ts';

/** One operation of the printer with what must be true after it. */
export interface EvolisStep {
  readonly start: (signal: AbortSignal) => Promise<string>;
  readonly limitMs: number;
  /** Checks that the operation did what it says. @throws DeviceFault */
  readonly confirm: () => Promise<void>;
  /** Runs once when the operation is over, however it ended; must not throw. */
  readonly cleanUp: () => Promise<void>;
  /** The request never left this host. */
  readonly onNotSent: () => void;
}

interface Stall {
  readonly step: EvolisStep;
  readonly operation: EvolisOperation;
  readonly event: EvolisEvent;
}

export class EvolisStepper {
  readonly #link: EvolisLink;
  readonly #known: () => SessionKnowledge;
  #stall: Stall | undefined;

  constructor(link: EvolisLink, known: () => SessionKnowledge) {
    this.#link = link;
    this.#known = known;
  }

  get isStalled(): boolean {
    return this.#stall !== undefined;
  }

  /** @throws DeviceFault; with `isWaiting` the operation stands still until `answer` */
  async perform(step: EvolisStep): Promise<void> {
    if (this.#stall !== undefined) throw new Error('the printer waits for an answer: nothing else may move');
    await this.#supervise(step, startOperation(step.start));
  }

  /** @throws DeviceFault as `perform`, after `retry` */
  async answer(answer: 'retry' | 'cancel'): Promise<void> {
    const stall = this.#stall;
    if (stall === undefined) throw new Error('the printer waits for no answer');
    this.#stall = undefined;
    if (answer === 'cancel') {
      await this.#giveUp(stall);
      return;
    }
    const reaction = decideEventReaction(stall.event);
    try {
      await this.#link.setEvent(stall.event, reaction.kind === 'ask' ? reaction.retryAction : 'OK');
    } catch (error) {
      if (!(error instanceof EvolisRpcError)) throw error;
      // Not known to be answered: the operation may still stand still, so it stays with us.
      this.#stall = stall;
      const fault = await faultFromRpc(this.#link, this.#known(), error);
      throw new DeviceFault({ ...fieldsOf(fault), isWaiting: true });
    }
    await this.#supervise(stall.step, stall.operation);
  }

  async #supervise(step: EvolisStep, operation: EvolisOperation): Promise<void> {
    const watched = await watchOperation(this.#link, operation, step.limitMs);
    switch (watched.kind) {
      case 'done':
        await step.cleanUp();
        if (watched.answer.startsWith('ERR')) {
          throw await faultFromSight(this.#link, this.#known(), 'DEVICE_FAULT', watched.answer);
        }
        await step.confirm();
        return;
      case 'failed':
        if (watched.error.failure === 'unreachable') step.onNotSent();
        await step.cleanUp();
        throw await faultFromRpc(this.#link, this.#known(), watched.error);
      case 'silent':
        operation.abandon();
        await step.cleanUp();
        throw await faultFromSight(this.#link, this.#known(), 'DEVICE_FAULT', watched.detail);
      case 'stalled':
        throw await this.#stop({ step, operation, event: watched.event });
    }
  }

  /** The printer stands still: keep the operation when an answer can mend it, else end it. */
  async #stop(stall: Stall): Promise<DeviceFault> {
    const isWaiting = decideEventReaction(stall.event).kind === 'ask';
    const fault = await faultFromState(this.#link, this.#known(), stall.event.name, isWaiting);
    if (isWaiting) this.#stall = stall;
    else await this.#giveUp(stall);
    return fault;
  }

  /** Ends a stopped operation; what it answers then does not matter, the card stays where it is. */
  async #giveUp(stall: Stall): Promise<void> {
    const { step, operation, event } = stall;
    const reaction = decideEventReaction(event);
    const action = reaction.kind === 'ask' ? reaction.cancelAction : reaction.action;
    try {
      await this.#link.setEvent(event, action);
    } catch (error) {
      if (!(error instanceof EvolisRpcError)) throw error;
    }
    const end = await watchOperation(this.#link, operation, this.#link.limits.silenceMs);
    if (end.kind === 'stalled' || end.kind === 'silent') operation.abandon();
    await step.cleanUp();
  }
}

function fieldsOf(fault: DeviceFault): Pick<DeviceFault, 'code' | 'faultClass' | 'vendor'> {
  return { code: fault.code, faultClass: fault.faultClass, vendor: fault.vendor };
}
