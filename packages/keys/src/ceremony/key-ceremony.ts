/**
 * A ceremony that is carried out: the machine, its transcript, its history, and the components in memory.
 *
 * Invariants: an event stands in the transcript before anything follows from it; who opens a session stands in the
 * register first, because from then on the person may know the component; one ceremony at a time over one store;
 * components and key are wiped as soon as they are of no use, on every way out; nothing returns their bytes.
 */
import { oddParity, xorBytes } from '@cardwright/emv';
import {
  checkValueOf,
  compareCheckValues,
  formatCheckValue,
  parseCheckValue,
} from '../key-block/key-check-value.ts';
import { isDegenerateKey } from '../well-known-keys.ts';
import { KeyError, type KeyHandle } from '../key-port.ts';
import { type KeyManagement } from '../key-management.ts';
import {
  applyCeremonyEvent,
  beginCeremony,
  type CeremonyCommand,
  type CeremonyPlan,
  type CeremonyRefusal,
  type CeremonyState,
  custodianIdentity,
  decideCeremony,
  keyFamilyOf,
} from './ceremony-machine.ts';
import { type CeremonyTranscript } from './ceremony-transcript.ts';

/** COMPONENT: not of full length, or without entropy. WEAK_KEY: the components cancel out. */
export type CeremonyStepRefusal = CeremonyRefusal | 'COMPONENT' | 'WEAK_KEY' | 'CHECK_VALUE_FORM';

export type CeremonyStep =
  | { readonly ok: true; readonly checkValue?: string }
  | { readonly ok: false; readonly reason: CeremonyStepRefusal };

const keyLengths = { 'TDES-2KEY': 16, 'AES-128': 16, 'AES-256': 32 } as const;

export class KeyCeremony {
  readonly #keys: KeyManagement;
  readonly #transcript: CeremonyTranscript;
  #state: CeremonyState;
  #pending: Uint8Array | undefined;
  readonly #components: Uint8Array[] = [];
  #key: Uint8Array | undefined;
  readonly #givePlaceBack: () => void;
  #hasPlace = true;

  /** @throws RangeError for an impossible plan; KeyError KEY_STORE when the key exists or another ceremony is held */
  constructor(plan: CeremonyPlan, keys: KeyManagement, transcript: CeremonyTranscript) {
    if (keys.inventory().some((record) => record.name === plan.keyName)) {
      throw new KeyError('KEY_STORE', `key ${plan.keyName} exists already`);
    }
    this.#keys = keys;
    this.#transcript = transcript;
    this.#state = beginCeremony(plan, keys.componentsKnown(keyFamilyOf(plan.keyName)));
    this.#givePlaceBack = keys.takeCeremonyPlace();
    transcript.append({ type: 'begun', plan, keeper: keys.keeperDescription });
  }

  get state(): CeremonyState {
    return this.#state;
  }

  #step(command: CeremonyCommand): CeremonyStep {
    const decision = decideCeremony(this.#state, command);
    for (const event of decision.events) {
      if (event.type === 'session-opened') this.#rememberCustodian(event.custodian, event.component);
      this.#transcript.append(event);
      this.#state = applyCeremonyEvent(this.#state, event);
      if (event.type === 'component-discarded') this.#wipePending();
    }
    if (this.#state.phase === 'abandoned') this.#wipeAll();
    if (this.#state.phase === 'abandoned' || this.#state.phase === 'completed') this.#leave();
    return decision.ok ? { ok: true } : { ok: false, reason: decision.reason };
  }

  /** Once: a place that another ceremony took since is not ours to give. */
  #leave(): void {
    if (this.#hasPlace) this.#givePlaceBack();
    this.#hasPlace = false;
  }

  #rememberCustodian(custodian: string, component: number): void {
    const { ceremonyId, keyName } = this.#state.plan;
    this.#keys.recordComponentKnown({ family: keyFamilyOf(keyName), component, custodian, ceremonyId });
  }

  openSession(custodian: string, component: number): CeremonyStep {
    return this.#step({ type: 'open-session', custodian: custodianIdentity(custodian), component });
  }

  /** Takes the component over: `component` is wiped. Returns its check value. */
  enterComponent(component: Uint8Array): CeremonyStep {
    try {
      const { algorithm } = this.#state.plan;
      if (component.length !== keyLengths[algorithm] || isDegenerateKey(component)) {
        return { ok: false, reason: 'COMPONENT' };
      }
      const checkValue = this.#checkValue(component);
      const step = this.#step({ type: 'enter-component', checkValue });
      if (!step.ok) return step;
      this.#pending = Uint8Array.from(component);
      return { ok: true, checkValue };
    } finally {
      component.fill(0);
    }
  }

  /** `checkValue` as the custodian's paper has it, with or without the method before a colon. */
  confirmComponent(checkValue: string): CeremonyStep {
    const computed = this.#state.session?.entered?.checkValue;
    const claimed = this.#claimed(checkValue, computed);
    if (claimed === undefined) return { ok: false, reason: 'CHECK_VALUE_FORM' };
    const step = this.#step({ type: 'confirm-component', checkValue: claimed });
    if (step.ok && this.#pending) {
      this.#components.push(this.#pending);
      this.#pending = undefined;
    }
    return step;
  }

  closeSession(): CeremonyStep {
    return this.#step({ type: 'close-session' });
  }

  /** Always refused. It exists so that the refusal does. */
  showComponent(component: number): CeremonyStep {
    return this.#step({ type: 'show-component', component });
  }

  /** Puts the components together. Returns the key's check value. */
  combine(): CeremonyStep {
    const [first, ...rest] = this.#components;
    if (!first) return { ok: false, reason: 'INCOMPLETE' };
    const key = rest.reduce((sum, component) => {
      const next = xorBytes(sum, component);
      sum.fill(0);
      return next;
    }, Uint8Array.from(first));
    const isComplete = this.#components.length === this.#state.plan.components;
    if (isComplete && isDegenerateKey(key)) {
      key.fill(0);
      this.abandon('the components cancel out');
      return { ok: false, reason: 'WEAK_KEY' };
    }
    const checkValue = this.#checkValue(key);
    const step = this.#step({ type: 'combine', checkValue });
    if (!step.ok) {
      key.fill(0);
      return step;
    }
    this.#wipeComponents();
    // DES ignores parity, but other systems refuse keys without it.
    this.#key = this.#state.plan.algorithm === 'TDES-2KEY' ? oddParity(key) : Uint8Array.from(key);
    key.fill(0);
    return { ok: true, checkValue };
  }

  /**
   * Stores the key once its check value is confirmed; the transcript completes only after it is stored.
   * @throws KeyError KEY_STORE, KEY_USAGE as `ensure`
   */
  async confirmKey(checkValue: string): Promise<(CeremonyStep & { readonly ok: false }) | CompletedCeremony> {
    const claimed = this.#claimed(checkValue, this.#state.combinedCheckValue ?? undefined);
    if (claimed === undefined) return { ok: false, reason: 'CHECK_VALUE_FORM' };
    const key = this.#key;
    const { keyName, algorithm, usage, exportability } = this.#state.plan;
    const willComplete = decideCeremony(this.#state, { type: 'confirm-key', checkValue: claimed }).ok;
    try {
      if (!willComplete || !key) {
        const step = this.#step({ type: 'confirm-key', checkValue: claimed });
        return step.ok ? { ok: false, reason: 'WRONG_PHASE' } : step;
      }
      const custodian = this.#state.components.map((one) => one.custodian).join(', ');
      const details = { origin: 'ceremony', custodian, exportability } as const;
      const handle = await this.#keys.ensure(keyName, { algorithm, usage, value: key }, details);
      this.#step({ type: 'confirm-key', checkValue: claimed });
      return { ok: true, handle };
    } finally {
      this.#wipeAll();
    }
  }

  /** Gives the ceremony up and wipes everything. Safe to call at any time. */
  abandon(reason: string): void {
    this.#step({ type: 'abandon', reason });
    this.#wipeAll();
  }

  #checkValue(bytes: Uint8Array): string {
    const computed = checkValueOf(this.#state.plan.algorithm, bytes);
    if (!computed) throw new KeyError('KEY_USAGE', 'a ceremony for a key without a check value');
    return formatCheckValue(computed);
  }

  /** What was typed, in the form of the computed value: equal to it exactly when it means the same. */
  #claimed(text: string, computed: string | undefined): string | undefined {
    const method = this.#state.plan.algorithm === 'TDES-2KEY' ? 'TDES-ECB-0' : 'AES-CMAC-0';
    const claimed = parseCheckValue(text.includes(':') ? text : `${method}:${text.replace(/\s/g, '')}`);
    if (!claimed) return undefined;
    const known = computed === undefined ? undefined : parseCheckValue(computed);
    if (known && computed !== undefined && compareCheckValues(claimed, known) === 'SAME') return computed;
    return formatCheckValue(claimed);
  }

  #wipePending(): void {
    this.#pending?.fill(0);
    this.#pending = undefined;
  }

  #wipeComponents(): void {
    for (const component of this.#components) component.fill(0);
    this.#components.length = 0;
  }

  #wipeAll(): void {
    this.#wipePending();
    this.#wipeComponents();
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

export interface CompletedCeremony {
  readonly ok: true;
  readonly handle: KeyHandle;
}
