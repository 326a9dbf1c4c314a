/**
 * The key ceremony as a state machine: who may do what next. Pure; it sees check values, never a component.
 *
 * Invariants (security.md K6): one session at a time; a custodian enters one component of a key and has never known
 * another one of that key's family, in this ceremony or any before; a component is entered once and never shown
 * again; a component counts only after its custodian confirmed its check value, and the key only after its own was
 * confirmed; knowledge of a component stays in history even when the ceremony is given up.
 */
import { type KeyAlgorithm, type KeyUsage } from '../key-port.ts';
import { versionOf } from '../key-register/key-life.ts';

export interface CeremonyPlan {
  readonly ceremonyId: string;
  readonly keyName: string;
  readonly algorithm: Extract<KeyAlgorithm, 'TDES-2KEY' | 'AES-128' | 'AES-256'>;
  readonly usage: KeyUsage;
  readonly environment: 'test' | 'production';
  readonly exportability: 'E' | 'N';
  /** 2 to 5. */
  readonly components: number;
  readonly witness: string;
}

/** Somebody knows a component of a key of this family, from whatever ceremony. */
export interface ComponentKnown {
  readonly component: number;
  readonly custodian: string;
}

export type CeremonyCommand =
  | { readonly type: 'open-session'; readonly custodian: string; readonly component: number }
  /** The component was typed in; `checkValue` was computed from it. */
  | { readonly type: 'enter-component'; readonly checkValue: string }
  /** What the custodian reads from the paper. */
  | { readonly type: 'confirm-component'; readonly checkValue: string }
  | { readonly type: 'close-session' }
  | { readonly type: 'show-component'; readonly component: number }
  /** All components were put together; `checkValue` was computed from the key. */
  | { readonly type: 'combine'; readonly checkValue: string }
  /** What the letter that came with the components says. */
  | { readonly type: 'confirm-key'; readonly checkValue: string }
  | { readonly type: 'abandon'; readonly reason: string };

export type CeremonyEvent =
  /** `keeper`: where the key will be, and where its bytes are seen on the way. */
  | { readonly type: 'begun'; readonly plan: CeremonyPlan; readonly keeper: string }
  | { readonly type: 'session-opened'; readonly custodian: string; readonly component: number }
  | { readonly type: 'component-entered'; readonly component: number; readonly checkValue: string }
  | { readonly type: 'component-confirmed'; readonly component: number; readonly checkValue: string }
  | { readonly type: 'component-discarded'; readonly component: number }
  | { readonly type: 'session-closed'; readonly custodian: string }
  | { readonly type: 'combined'; readonly checkValue: string }
  | { readonly type: 'completed'; readonly checkValue: string }
  | { readonly type: 'abandoned'; readonly reason: string };

export type CeremonyRefusal =
  | 'SESSION_OPEN' // two sessions
  | 'NO_SESSION'
  | 'SAME_CUSTODIAN' // already on a component in this ceremony
  | 'KNOWS_ANOTHER_COMPONENT' // ever in history
  | 'NO_CUSTODIAN' // nobody, or the witness
  | 'NO_SUCH_COMPONENT'
  | 'COMPONENT_TAKEN'
  | 'ALREADY_ENTERED'
  | 'NOT_ENTERED'
  | 'NOT_CONFIRMED'
  | 'CHECK_VALUE' // differs; the component is discarded
  | 'NEVER_SHOWN'
  | 'INCOMPLETE'
  | 'WRONG_PHASE';

interface Session {
  readonly custodian: string;
  readonly component: number;
  readonly entered: { readonly checkValue: string; readonly isConfirmed: boolean } | null;
}

export interface CeremonyState {
  readonly plan: CeremonyPlan;
  readonly phase: 'collecting' | 'combined' | 'completed' | 'abandoned';
  readonly session: Session | null;
  /** Confirmed components. */
  readonly components: readonly (ComponentKnown & { readonly checkValue: string })[];
  /** Everybody who has known a component, before and now. */
  readonly known: readonly ComponentKnown[];
  readonly combinedCheckValue: string | null;
}

export type CeremonyDecision =
  | { readonly ok: true; readonly events: readonly [CeremonyEvent, ...CeremonyEvent[]] }
  /** A refusal may have consequences: a component whose check value differs is discarded. */
  | { readonly ok: false; readonly reason: CeremonyRefusal; readonly events: readonly CeremonyEvent[] };

/** One person is one identity, however the name is typed. */
export function custodianIdentity(name: string): string {
  return name.normalize('NFKC').trim().replace(/\s+/g, ' ').toLowerCase();
}

/** All versions of a key are one family: who knew a component of one takes the same one of the next, or none. */
export function keyFamilyOf(keyName: string): string {
  return versionOf(keyName)?.family ?? keyName;
}

/** @param known from earlier ceremonies for this key's family */
export function beginCeremony(plan: CeremonyPlan, known: readonly ComponentKnown[]): CeremonyState {
  if (!Number.isInteger(plan.components) || plan.components < 2 || plan.components > 5) {
    throw new RangeError('a ceremony has 2 to 5 components');
  }
  return {
    plan,
    phase: 'collecting',
    session: null,
    components: [],
    known: known.map(({ component, custodian }) => ({ component, custodian: custodianIdentity(custodian) })),
    combinedCheckValue: null,
  };
}

function refuse(reason: CeremonyRefusal, ...events: CeremonyEvent[]): CeremonyDecision {
  return { ok: false, reason, events };
}

function accept(...events: [CeremonyEvent, ...CeremonyEvent[]]): CeremonyDecision {
  return { ok: true, events };
}

export function decideCeremony(state: CeremonyState, command: CeremonyCommand): CeremonyDecision {
  if (command.type === 'show-component') return refuse('NEVER_SHOWN');
  if (state.phase === 'completed' || state.phase === 'abandoned') return refuse('WRONG_PHASE');
  if (command.type === 'abandon') return accept({ type: 'abandoned', reason: command.reason });
  if (command.type === 'confirm-key') return confirmKey(state, command.checkValue);
  if (state.phase !== 'collecting') return refuse('WRONG_PHASE');
  switch (command.type) {
    case 'open-session':
      return openSession(state, custodianIdentity(command.custodian), command.component);
    case 'enter-component': {
      if (!state.session) return refuse('NO_SESSION');
      if (state.session.entered) return refuse('ALREADY_ENTERED');
      const { component } = state.session;
      return accept({ type: 'component-entered', component, checkValue: command.checkValue });
    }
    case 'confirm-component':
      return confirmComponent(state, command.checkValue);
    case 'close-session':
      return closeSession(state);
    case 'combine':
      if (state.session) return refuse('SESSION_OPEN');
      if (state.components.length < state.plan.components) return refuse('INCOMPLETE');
      return accept({ type: 'combined', checkValue: command.checkValue });
  }
}

function openSession(state: CeremonyState, custodian: string, component: number): CeremonyDecision {
  const { plan, known, components } = state;
  if (state.session) return refuse('SESSION_OPEN');
  if (custodian === '' || custodian === custodianIdentity(plan.witness)) return refuse('NO_CUSTODIAN');
  if (!Number.isInteger(component) || component < 1 || component > plan.components) {
    return refuse('NO_SUCH_COMPONENT');
  }
  if (components.some((one) => one.component === component)) return refuse('COMPONENT_TAKEN');
  if (components.some((one) => one.custodian === custodian)) return refuse('SAME_CUSTODIAN');
  if (known.some((one) => one.custodian === custodian && one.component !== component)) {
    return refuse('KNOWS_ANOTHER_COMPONENT');
  }
  return accept({ type: 'session-opened', custodian, component });
}

function confirmComponent({ session }: CeremonyState, checkValue: string): CeremonyDecision {
  if (!session) return refuse('NO_SESSION');
  if (!session.entered) return refuse('NOT_ENTERED');
  if (session.entered.isConfirmed) return refuse('ALREADY_ENTERED');
  const { component } = session;
  if (session.entered.checkValue !== checkValue) {
    return refuse('CHECK_VALUE', { type: 'component-discarded', component });
  }
  return accept({ type: 'component-confirmed', component, checkValue });
}

function closeSession({ session }: CeremonyState): CeremonyDecision {
  if (!session) return refuse('NO_SESSION');
  const { custodian, component, entered } = session;
  const closed = { type: 'session-closed', custodian } as const;
  if (!entered || entered.isConfirmed) return accept(closed);
  return accept({ type: 'component-discarded', component }, closed);
}

function confirmKey(state: CeremonyState, checkValue: string): CeremonyDecision {
  if (state.phase !== 'combined') return refuse('WRONG_PHASE');
  if (state.combinedCheckValue !== checkValue) {
    return refuse('CHECK_VALUE', { type: 'abandoned', reason: 'the check value of the key differs' });
  }
  return accept({ type: 'completed', checkValue });
}

/** The state after an event that `decideCeremony` gave. */
export function applyCeremonyEvent(state: CeremonyState, event: CeremonyEvent): CeremonyState {
  const { session } = state;
  switch (event.type) {
    case 'begun':
      return state;
    case 'session-opened': {
      const { custodian, component } = event;
      const known = [...state.known, { custodian, component }];
      return { ...state, known, session: { custodian, component, entered: null } };
    }
    case 'component-entered':
      if (!session) return state;
      return {
        ...state,
        session: { ...session, entered: { checkValue: event.checkValue, isConfirmed: false } },
      };
    case 'component-confirmed': {
      if (!session) return state;
      const { checkValue, component } = event;
      const components = [...state.components, { component, custodian: session.custodian, checkValue }];
      return { ...state, components, session: { ...session, entered: { checkValue, isConfirmed: true } } };
    }
    case 'component-discarded':
      return session ? { ...state, session: { ...session, entered: null } } : state;
    case 'session-closed':
      return { ...state, session: null };
    case 'combined':
      return { ...state, phase: 'combined', combinedCheckValue: event.checkValue };
    case 'completed':
      return { ...state, phase: 'completed' };
    case 'abandoned':
      return { ...state, phase: 'abandoned', session: null };
  }
}
