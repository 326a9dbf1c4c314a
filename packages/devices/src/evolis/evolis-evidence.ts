/**
 * What can be found out about the card after something went wrong, and the fault that this evidence carries.
 *
 * Invariant: the printer is asked again before a fault is called anything but ambiguous.
 */
import { DeviceFault, type DeviceFaultCode } from '../device-fault.ts';
import { type CardPosition, type DeviceCounters } from '../port.ts';
import { type CardEvidence, decideFaultClass, faultCodeOf, minorStateIn } from './evolis-faults.ts';
import { type EvolisLink } from './evolis-link.ts';
import { EvolisRpcError } from './evolis-rpc.ts';
import { type EvolisState, unreachableState } from './evolis-state.ts';

/** What the session itself knows. */
export interface SessionKnowledge {
  readonly hasFed: boolean;
  readonly pickedAtBegin: number | undefined;
}

/** What the printer says, as far as it says anything. */
export interface PrinterSight {
  readonly state: EvolisState;
  readonly position: CardPosition;
  readonly counters: DeviceCounters | undefined;
  readonly isReachable: boolean;
}

const unreachableSight: PrinterSight = {
  state: unreachableState,
  position: 'unknown',
  counters: undefined,
  isReachable: false,
};

/** Asks the printer for state, card position and counters; never throws for a printer that does not answer. */
export async function sightPrinter(link: EvolisLink): Promise<PrinterSight> {
  try {
    const state = await link.state();
    if (state.major === 'OFF') return { ...unreachableSight, state };
    return { state, position: await link.position(), counters: await link.counters(), isReachable: true };
  } catch (error) {
    if (error instanceof EvolisRpcError) return unreachableSight;
    throw error;
  }
}

export function stateText(state: EvolisState): string {
  return `${state.major},${state.minor}`;
}

function evidenceOf(known: SessionKnowledge, sight: PrinterSight): CardEvidence {
  const picked = sight.counters?.picked;
  return {
    hasFed: known.hasFed,
    position: sight.position,
    pickedInSession:
      picked === undefined || known.pickedAtBegin === undefined ? undefined : picked - known.pickedAtBegin,
  };
}

/** A fault of which the printer told the minor state. */
export async function faultFromState(
  link: EvolisLink,
  known: SessionKnowledge,
  minor: string,
  isWaiting = false,
): Promise<DeviceFault> {
  const sight = await sightPrinter(link);
  return new DeviceFault({
    code: faultCodeOf(minor),
    faultClass: decideFaultClass(evidenceOf(known, sight)),
    isWaiting,
    vendor: minor,
  });
}

/** A fault with a code of our own, where the printer said that all was well or said nothing useful. */
export async function faultFromSight(
  link: EvolisLink,
  known: SessionKnowledge,
  code: DeviceFaultCode,
  vendor: string,
): Promise<DeviceFault> {
  const sight = await sightPrinter(link);
  return new DeviceFault({
    code: sight.isReachable ? code : 'OFFLINE',
    faultClass: decideFaultClass(evidenceOf(known, sight)),
    vendor,
  });
}

/** A call failed: from what the service said, or from where the card is now. */
export async function faultFromRpc(
  link: EvolisLink,
  known: SessionKnowledge,
  error: EvolisRpcError,
): Promise<DeviceFault> {
  if (error.failure === 'refused') {
    const minor = minorStateIn(error.detail) ?? (await minorStateNow(link));
    const fault = await faultFromState(link, known, minor);
    return new DeviceFault({ code: fault.code, faultClass: fault.faultClass, vendor: error.message });
  }
  return faultFromSight(link, known, 'DEVICE_FAULT', error.message);
}

async function minorStateNow(link: EvolisLink): Promise<string> {
  return (await sightPrinter(link)).state.minor;
}
